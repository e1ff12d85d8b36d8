"""A report -> a pandas table of its points, one row each, with their scores and recipes."""

from collections.abc import Set
from typing import Any

import pandas as pd

from rayforget.frontier.points import FrontierPoint
from rayforget.frontier.summary import Measure
from rayforget.report.mlflow.mirror_names import flatten_recipe
from rayforget.report.present import Report

_SCORES = ("speciality", "generality")


def points_table(report: Report, kept: Set[tuple[str, int]]) -> pd.DataFrame:
    """One row for each point, by `PointKey.order`; what a row lacks is missing (NaN).

    Args:
        report: the sweep's.
        kept: (trial, step) of every kept weight.
    """
    summary = report.summary
    frontier = set(summary.frontier)
    rows: list[dict[str, Any]] = []
    for i, point in enumerate(summary.points):
        own = {"frontier": i in frontier, "weights_kept": (point.trial, point.step) in kept}
        errors = _errors("val", summary.val.get(i))
        rows.append(_identity(point) | own | _val(point) | errors | _test(report, point, summary.test.get(i)))
    table = pd.DataFrame(rows, index=pd.Index([point.key.text for point in summary.points], name="point"))
    recipes = pd.DataFrame([flatten_recipe(point.recipe) for point in summary.points], index=table.index)
    fields = [name for name in recipes.columns if name not in table.columns]
    return table.join(recipes[fields].apply(_numbers))


def _identity(point: FrontierPoint) -> dict[str, Any]:
    names = ("trial", "step", "fraction", "path", "alpha", "method")
    return {name: getattr(point, name) for name in names}


def _val(point: FrontierPoint) -> dict[str, float]:
    pair = {f"val/{name}": getattr(point, name) for name in _SCORES}
    return pair | {f"val/{task}": value for task, value in point.tasks.items()} | pair  # a task may have such a name


def _test(report: Report, point: FrontierPoint, measure: Measure | None) -> dict[str, float]:
    if measure is None:
        return {}
    tasks = {f"test/{task}": score.value for task, score in report.tests[point.key].items()}
    pair = {f"test/{name}": getattr(measure, name) for name in _SCORES}
    return pair | tasks | pair | _errors("test", measure)


def _errors(split: str, measure: Measure | None) -> dict[str, float]:
    errors = {f"{split}/{name}_error": getattr(measure, f"{name}_error", None) for name in _SCORES}
    return {name: error for name, error in errors.items() if error is not None}


def _numbers(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """The column as numbers if every text in it is one."""
    numbers = pd.to_numeric(column, errors="coerce")
    return numbers if numbers.notna().equals(column.notna()) else column
