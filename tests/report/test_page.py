import dataclasses
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory

import golden_text
import pytest
from summaries import full_of_remarks, make_paths_summary, make_summary

from rayforget.report.web.chart import build_chart
from rayforget.report.web.page import write_page
from rayforget.report.words.numbers import percent


class Outside(HTMLParser):
    """Collects everything loaded from elsewhere, the visible text, and unclosed tags."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [f"{tag} {value}" for name, value in attrs if name in ("src", "href", "data", "action")]
        self.text += [{"li": "\n", "td": " | ", "th": " | "}.get(tag, "")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" not in self.open and "style" not in self.open:
            self.text.append(data)


@cache
def parse(kind: str) -> tuple[Outside, str]:
    summary = full_of_remarks(make_paths_summary()) if kind == "several paths" else make_summary(kind)
    with TemporaryDirectory() as folder:
        write_page(summary, Path(folder) / "frontier.html")
        html = (Path(folder) / "frontier.html").read_text(encoding="utf-8")
    parser = Outside()
    parser.feed(html)
    return parser, html


@pytest.mark.parametrize("kind", ["full", "half tested", "theta_0 alone", "several paths"])
def test_page_loads_nothing_from_elsewhere(kind: str) -> None:
    parser, html = parse(kind)
    assert parser.loaded == []
    assert parser.open == []
    assert not re.search(r"@import|url\(\s*['\"]?http", re.sub(r"<script.*?</script>", "", html, flags=re.S))
    assert "Plotly.newPlot" in html
    assert len(html) > 3_000_000  # the script is inside


def test_page_shows_the_tables_and_names_as_they_are() -> None:
    parser, html = parse("full")
    text, summary = " ".join(parser.text), make_summary("full")
    assert "tiny-<1>" not in html
    for i in summary.frontier:
        assert percent(summary.points[i].speciality) in text
        assert summary.points[i].trial in text
    assert not any(words in text for words in ("lerp", "Paths", "Whole labelled splits", "Stale"))
    parser, html = parse("several paths")
    assert "<li>tasks.photo.val: 1 broken image skipped: &lt;a&gt;</li>" in html
    golden_text.check("reports", "page: several paths", re.sub(r"\n{3,}", "\n\n", "".join(parser.text)))


def test_hover_tells_recipe_trial_step_alpha_and_every_task() -> None:
    summary = make_summary("full")
    hovers = [str(text) for trace in build_chart(summary).data for text in (trace.customdata or ())]
    point = next(p for p in summary.points if p.method == "l1" and p.alpha == 0.7 and p.fraction == 1)
    found = next(h for h in hovers if f"trial {point.trial}," in h and f"step {point.step} " in h and "α = 0.7" in h)
    for role in summary.roles:
        assert f"{role.name} {percent(point.tasks[role.name])}" in found
    assert f"learning_rate: {point.recipe['learning_rate']:.3g}" in found
    assert "penalties.l1.strength" in found
    assert "epochs" not in found  # all trials have the same


def test_every_point_is_drawn_once_under_its_methods_legend() -> None:
    summary = make_summary("full")
    traces = build_chart(summary).data
    for method in {point.method for point in summary.points} - {"theta_0"}:
        mine = [t for t in traces if t.legendgroup == method]
        assert sum(t.showlegend is not False for t in mine) == 1
        drawn = sum(len(t.x) for t in mine if t.mode == "markers" and t.customdata is not None)
        assert drawn == sum(point.method == method and point.alpha != 0 for point in summary.points)


def test_names_with_markup_are_escaped_in_hovers() -> None:
    summary = make_summary("full")
    points = tuple(dataclasses.replace(point, trial=f"<i>{point.trial}") for point in summary.points)
    hovers = [
        str(t)
        for trace in build_chart(dataclasses.replace(summary, points=points)).data
        for t in trace.customdata or ()
    ]
    assert hovers
    assert not any("<i>" in hover for hover in hovers)
