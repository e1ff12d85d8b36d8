"""Several paths in tables, page, picture and MLflow: named if there are several, and nowhere else."""

from pathlib import Path

import pytest
from summaries import make_paths_summary, make_summary, printed
from synthetic_paths import LINES, with_paths
from synthetic_sweep import ROLES, make_records

from rayforget.frontier.gather import gather
from rayforget.report.mlflow.mirror_plan import SweepView, plan_runs
from rayforget.report.png.picture import draw_frontier
from rayforget.report.terminal.tables import frontier_table
from rayforget.report.web.hover import Hovers
from rayforget.report.words.numbers import name_point, read
from rayforget.space.path_text import LERP


def test_where_the_lerp_is_alone_no_path_is_named() -> None:
    summary = make_summary("full")
    for text in (
        printed(frontier_table(summary)),
        *map(Hovers(summary).text, range(len(summary.points))),
        *read(summary),
    ):
        assert "lerp" not in text
        assert "Paths" not in text


def test_picture_and_hover_take_points_of_every_path(tmp_path: Path) -> None:
    summary = make_paths_summary()
    draw_frontier(summary, tmp_path / "frontier.png")
    for point, hover in zip(summary.points, map(Hovers(summary).text, range(len(summary.points))), strict=True):
        assert point.path == LERP or f"α = {point.alpha:g} of {point.path}" in hover
    point = next(point for point in summary.points if point.path == LINES[0] and point.alpha == 0.5)
    assert " at α = 0.5 of lines(gamma=0.1), trial " in name_point(point)


def test_mlflow_has_a_run_for_each_point_with_its_path_as_params_and_a_series_for_each_path() -> None:
    records, _ = with_paths(*make_records(trials=3, seeds=1, fractions=(1.0,)))
    points = gather(records, ROLES).points
    frontier = [point.key for point in points if point.alpha == 0.5 or not point.coarse]
    assert {LERP, *LINES} < {key.path for key in frontier}
    view = SweepView(
        name="s", identity="s", space_name="s", created=0.0, running=False, roles=ROLES, records=records, points=points,
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
