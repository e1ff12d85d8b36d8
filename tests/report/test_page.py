import dataclasses
import json
import re
import shutil
import subprocess
from functools import cache
from html.parser import HTMLParser
from importlib.resources import files

import golden_text
import pytest
from summaries import full_of_remarks, make_findings, make_paths_summary, make_summary

from rayforget.frontier.summary import Summary
from rayforget.report.web.chart import build_chart
from rayforget.report.web.compact import as_script
from rayforget.report.web.hover import Hovers
from rayforget.report.web.page import page_of
from rayforget.report.words.numbers import percent


class Outside(HTMLParser):
    """Collects everything loaded from elsewhere, the visible text, and unclosed tags."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        links = [(name, value or "") for name, value in attrs if name in ("src", "href", "data", "action")]
        self.loaded += [f"{tag} {value}" for name, value in links if not value.startswith("#")]
        apart = dict.fromkeys(("small", "button", "a", "code", "span"), " ")
        self.text += [{"li": "\n", "td": " | ", "th": " | ", **apart}.get(tag, "")]
        if tag not in ("meta", "br", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style", "svg"} & {*self.open}:
            self.text.append(data)


@cache
def parse(kind: str) -> tuple[Outside, str]:
    summary = full_of_remarks(make_paths_summary()) if kind == "several paths" else make_summary(kind)
    html = page_of(make_findings(summary, kind))
    parser = Outside()
    parser.feed(html)
    return parser, html


@pytest.mark.parametrize("kind", ["full", "half tested", "theta_0 alone", "several paths"])
def test_page_loads_nothing_from_elsewhere(kind: str) -> None:
    parser, html = parse(kind)
    assert parser.loaded == []
    assert parser.open == []
    assert not re.search(r"@import|url\(\s*['\"]?http", re.sub(r"<script.*?</script>", "", html, flags=re.S))
    assert "Plotly.react" in html
    assert len(html) > 3_000_000  # the script is inside


def test_page_shows_the_tables_and_names_as_they_are() -> None:
    parser, html = parse("full")
    text, summary = " ".join(parser.text), make_summary("full")
    assert "tiny-<1>" not in html
    for i in summary.frontier:
        assert percent(summary.points[i].speciality) in text
        assert summary.points[i].trial in text
    assert re.search(r"export 'tiny-<1>' --point \S+/lerp/0?\.?\d+ FOLDER", text)  # a point's whole name
    text = re.sub(r"\S+/lerp/\S+", "", text)
    assert not any(words in text for words in ("lerp", "Paths", "Whole labelled splits", "Stale"))
    parser, html = parse("several paths")
    assert "<li>tasks.photo.val: 1 broken image skipped: &lt;a&gt;</li>" in html
    golden_text.check(
        "reports", "page: several paths", re.sub(r"\n{3,}", "\n\n", re.sub(" +", " ", "".join(parser.text)))
    )


def expanded(summary: Summary) -> list[str]:
    """The descriptions of the methods' points as a browser makes them of the page's table, in the summary's order."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node to run the page's script")
    _, table = build_chart(summary)
    hovers = files("rayforget.report.web").joinpath("page_hovers.js").read_text()
    code = f"{hovers}; console.log(JSON.stringify(expandHovers(JSON.parse(require('fs').readFileSync(0)))))"
    done = subprocess.run([node, "-e", code], input=json.dumps(table), capture_output=True, text=True, check=True)
    return [hover for trace in json.loads(done.stdout) for hover in trace]


def drawn(summary: Summary) -> list[int]:
    """Indices of the methods' points, method by method."""
    names = [method.method for method in summary.methods]
    return [i for name in names for i, p in enumerate(summary.points) if p.method == name and p.alpha != 0]


def test_hover_tells_recipe_trial_step_alpha_and_every_task() -> None:
    summary = make_summary("full")
    place = next(
        i for i, p in enumerate(summary.points) if (p.method, p.alpha, p.fraction) == ("l1", 0.7, 1)
    )  # fmt: skip
    point, found = summary.points[place], Hovers(summary).text(place)
    assert f"trial {point.trial}," in found
    assert f"step {point.step} " in found
    assert "α = 0.7" in found
    for role in summary.roles:
        assert f"{role.name} {percent(point.tasks[role.name])}" in found
    assert f"learning_rate: {point.recipe['learning_rate']:.3g}" in found
    assert "penalties.l1.strength" in found
    assert "epochs" not in found  # all trials have the same


@pytest.mark.parametrize("kind", ["full", "several paths"])
def test_the_page_makes_every_description_of_its_table(kind: str) -> None:
    """Also of names that JSON, HTML or JavaScript could mistake."""
    summary = make_paths_summary() if kind == "several paths" else make_summary(kind)
    odd = '</script><i>"\\\u2028é'
    summary = dataclasses.replace(
        summary, points=tuple(dataclasses.replace(p, trial=f"{odd}{p.trial}") for p in summary.points)
    )
    hovers = Hovers(summary)
    assert expanded(summary) == [hovers.text(i) for i in drawn(summary)]
    script = as_script(build_chart(summary)[1], "hovers")
    assert script.lower().count("</script") == 1
    assert json.loads(script[script.index(">") + 1 : script.rindex("</")])["tasks"]


def test_a_dominated_point_costs_the_page_tens_of_bytes() -> None:
    """Ten times the trainings, with recipes of their own, must not make the page ten times as large."""
    summary = make_summary("full")
    known = {summary.points[i].trial for i in (*summary.val, *summary.test)}
    more = [
        dataclasses.replace(p, trial=f"{p.trial}-{n}", speciality=p.speciality / 2, generality=p.generality / 2)
        for n in range(40)
        for p in summary.points
        if p.trial in known and p.method not in ("plain", "theta_0")
    ]
    large = dataclasses.replace(summary, points=(*summary.points, *more))
    sizes = []
    for each in (summary, large):
        figure, table = build_chart(each)
        sizes.append(len(figure.to_json()) + len(as_script(table, "hovers")))
    assert len(more) > 4000
    assert sizes[1] - sizes[0] < 60 * len(more)


def test_every_point_is_drawn_once_with_its_method() -> None:
    summary = make_summary("full")
    figure, table = build_chart(summary)
    assert [figure.data[place].legendgroup for place in table["places"]] == [m.method for m in summary.methods]
    for method in {point.method for point in summary.points} - {"theta_0"}:
        (points,) = [figure.data[place] for place in table["places"] if figure.data[place].legendgroup == method]
        assert len(points.x) == sum(point.method == method and point.alpha != 0 for point in summary.points)


def test_names_with_markup_are_escaped_in_hovers() -> None:
    summary = make_summary("full")
    points = tuple(dataclasses.replace(point, trial=f"<i>{point.trial}") for point in summary.points)
    figure, table = build_chart(dataclasses.replace(summary, points=points))
    texts = [str(t) for trace in figure.data if trace.customdata is not None for t in trace.customdata]
    assert texts
    heads = [title + line for title, line, *_ in table["checkpoints"]]
    assert "<i>" not in "".join([*texts, *heads, json.dumps([table[name] for name in ("recipes", "whole", "alphas")])])
