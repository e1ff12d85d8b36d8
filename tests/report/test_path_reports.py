"""Several paths in tables, page, picture and MLflow: named if there are several, and nowhere else."""

import json
from functools import cache
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from synthetic_paths import LINES, with_paths
from synthetic_sweep import ROLES, make_records

from rayforget.frontier.gather import gather
from rayforget.frontier.summary import Summary
from rayforget.report.mlflow.mirror_plan import SweepView, plan_runs
from rayforget.report.png.picture import draw_frontier
from rayforget.report.present import summary_of
from rayforget.report.terminal.frontier_table import frontier_as_table
from rayforget.report.terminal.tables import frontier_table
from rayforget.report.web.hover import hover_points
from rayforget.report.web.page import write_page
from rayforget.report.words.numbers import format_recovered, name_point, read
from rayforget.space.path_text import LERP


@cache
def make_summary(several: bool) -> Summary:
    records, test = make_records(trials=7, fractions=(1.0,))
    if several:
        records, test = with_paths(records, test)
    return summary_of("s", gather(records, ROLES), test, ROLES, resamples=50)


def render(summary: Summary, width: int = 140) -> str:
    out = StringIO()
    Console(file=out, width=width, color_system=None).print(frontier_table(summary))
    return out.getvalue()


def test_the_table_names_the_path_of_each_point_and_says_what_each_path_adds() -> None:
    summary = make_summary(True)
    lines = render(summary).splitlines()
    for i in summary.frontier:
        point = summary.points[i]
        shown = [line for line in lines if point.trial in line and f"{point.alpha:g} " in line]
        assert any(point.path in line for line in shown)
    for path in summary.paths:
        row = next(line for line in lines if line.startswith(path.path) and "α" not in line)
        assert str(path.models) in row
        for found in (path.alone, path.with_lerp):
            assert format_recovered(found.test, found.interval) in row
    assert any(line.startswith("all, every α and path") for line in lines)


def test_at_100_columns_a_path_is_folded_and_never_cut() -> None:
    text = render(make_summary(True), width=100)
    assert "…" not in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 100


def test_where_the_lerp_is_alone_no_path_is_named(tmp_path: Path) -> None:
    summary = make_summary(False)
    write_page(summary, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    for text in (render(summary), page[page.index("<h2>Baselines") :], *hover_points(summary), *read(summary)):
        assert "lerp" not in text
        assert "Paths" not in text


def test_page_picture_and_hover_take_points_of_every_path(tmp_path: Path) -> None:
    summary = make_summary(True)
    write_page(summary, tmp_path / "page.html")
    draw_frontier(summary, tmp_path / "frontier.png")
    page = (tmp_path / "page.html").read_text()
    tables = page[page.index("<h2>Baselines") :]
    assert '<th class="text">path</th>' in tables
    assert "<h2>Paths</h2>" in tables
    for text in LINES:
        assert tables.count(text) >= 1
    for point, hover in zip(summary.points, hover_points(summary), strict=True):
        assert point.path == LERP or f"α = {point.alpha:g} of {point.path}" in hover


def test_a_point_of_another_path_is_named_with_it() -> None:
    summary = make_summary(True)
    point = next(point for point in summary.points if point.path == LINES[0] and point.alpha == 0.5)
    assert " at α = 0.5 of lines(gamma=0.1), trial " in name_point(point)


def test_mlflow_has_a_run_for_each_point_with_its_path_as_params_and_a_series_for_each_path() -> None:
    records, _ = with_paths(*make_records(trials=3, seeds=1, fractions=(1.0,)))
    points = gather(records, ROLES).points
    frontier = [point.key for point in points if point.alpha == 0.5 or not point.coarse]
    assert {LERP, *LINES} < {key.path for key in frontier}
    view = SweepView(
        name="s", space_name="s", created=0.0, running=False, roles=ROLES, records=records, points=points,
        frontier=frontier,
    )  # fmt: skip
    runs = plan_runs(view)
    assert len({run.key for run in runs}) == len(runs)
    for key in frontier:
        tail = "" if key.path == LERP else f"/{key.path}"
        run = next(run for run in runs if run.key == f"s/{key.trial}/{key.step}/{key.alpha!r}{tail}")
        point = next(point for point in points if point.key == key)
        assert {m.value for m in run.metrics if m.name == "val/speciality"} == {point.speciality}
        name, _, parameters = key.path.partition("(")
        assert run.params["path"] == name
        if name == "lines":
            assert run.params["path.gamma"] == parameters.removeprefix("gamma=").removesuffix(")")
    trial = next(run for run in runs if run.kind == "trial" and run.status == "FINISHED" and "theta_0" not in run.key)
    stages = {metric.name.partition("/")[0] for metric in trial.metrics if metric.name.endswith("/speciality")}
    assert len(stages) == 1 + len(LINES)  # a searched spot is no series
    own = {metric.step: metric.value for metric in trial.metrics if metric.name == "val/speciality"}
    lerp = {p.alpha: p.speciality for p in points if p.trial == trial.name and p.path == LERP}
    assert own == {round(1000 * alpha): pytest.approx(value) for alpha, value in lerp.items()}


def test_the_frontier_as_a_table_has_the_path_of_each_row() -> None:
    summary = make_summary(True)
    table = json.loads(frontier_as_table(summary))
    place = table["columns"].index("path")
    assert [row[place] for row in table["data"]] == [summary.points[i].path for i in summary.frontier]
