"""The view that MLflow's page restores: what it says, and that it fits into a tag."""

import base64
import json
import zlib
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

from summaries import make_view

from rayforget.report.mlflow.mirror_plan import RunPlan, plan_runs
from rayforget.report.mlflow.saved_view import (
    LONGEST,
    filter_link,
    params_to_show,
    points_filter,
    saved_view,
    view_key,
    view_link,
)


def planned(trials: int = 4) -> list[RunPlan]:
    return [run for run in plan_runs(make_view(trials=trials)) if run.kind == "point"]


def state_of(points: list[RunPlan]) -> dict[str, Any]:
    view = saved_view("s", 1.0, name="Frontier of s", points=points)
    assert view.tag == f"mlflow.sharedViewState.{view_key('s', 1.0)}"
    envelope = json.loads(view.value)
    assert (envelope["name"], envelope["createdAt"]) == ("Frontier of s", 1000)
    state: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(envelope["state"].removeprefix("deflate;"))))
    return state


def test_the_view_has_the_two_charts_in_one_section_and_folds_the_others() -> None:
    state = state_of(planned())
    scatter, parallel = state["compareRunCharts"]
    assert (scatter["xaxis"]["key"], scatter["yaxis"]["key"]) == ("val/speciality", "val/generality")
    assert parallel["selectedMetrics"] == ["val/speciality", "val/generality"]
    assert parallel["selectedParams"][-1] == "alpha"
    open_ones = [section["uuid"] for section in state["compareRunSections"] if section["display"]]
    assert [scatter["metricSectionId"]] * 2 == [parallel["metricSectionId"], *open_ones]
    names = {section["name"] for section in state["compareRunSections"]}
    assert {"val", "val/generality/sketch", "Model metrics"} <= names
    assert state["searchFilter"] == points_filter("s", 1.0)


def test_parameters_are_shown_if_they_differ_and_every_trained_point_has_them() -> None:
    points = planned()
    trained = [run for run in points if run.place != "baseline"]

    def with_params(*per_run: dict[str, str]) -> list[str]:
        shown = [replace(run, params=params) for run, params in zip(trained, per_run, strict=False)]
        baseline = next(run for run in points if run.place == "baseline")
        return params_to_show([*shown, replace(baseline, params={"method": "theta_0"})])

    same = {"epochs": "1", "alpha": "1.0", "seed": "0", "step": "1"}
    assert with_params(
        {"method": "l2", "learning_rate": "1e-3", "penalties.l2.strength": "1", **same},
        {"method": "l1", "learning_rate": "1e-4", **same, "seed": "1", "step": "2", "alpha": "0.5"},
    ) == ["method", "learning_rate"]
    plain, lora = {"method": "full", "kind": "full"}, {"method": "lora", "kind": "lora"}
    assert with_params(plain, lora) == ["method"]
    assert with_params(plain, lora, {**plain, "kind": "lora"}) == ["method", "kind"]
    one = {"method": "full"}
    assert with_params({"clip": "1", **one}, {"clip": "2", **one}) == ["clip"]
    assert with_params({"clip": "1", **one}, {"clip": "null", **one}) == []  # numbers and text do not share an axis
    assert params_to_show([]) == []


def test_the_view_of_a_hundred_points_with_long_names_fits_into_a_tag() -> None:
    point = planned()[0]
    names = [f"val/generality/{'long task name ' * 4}{i}/accuracy" for i in range(60)]
    many = replace(point, metrics=tuple(replace(point.metrics[0], name=name) for name in names))
    view = saved_view("s" * 150, 1.0, name="s" * 150, points=[many])
    assert len(view.value) < LONGEST


def test_links_open_the_charts_or_the_list() -> None:
    key = view_key("s", 1000.4)
    assert key == view_key("s", 1000.0) != view_key("s", 1001.0)
    path, _, query = view_link("7", key).partition("?")
    assert path == "/#/experiments/7/runs"
    assert parse_qs(query) == {
        "viewStateShareKey": [key], "compareRunsMode": ["CHART"], "workflowType": ["machine_learning"],
    }  # fmt: skip
    assert parse_qs(filter_link("7", "s", 1.0).partition("?")[2])["searchFilter"] == [points_filter("s", 1.0)]
