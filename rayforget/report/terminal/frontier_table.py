"""A summary -> the frontier in the layout of MLflow's tables, one row per point."""

import json
from typing import Any

from rayforget.frontier.summary import Measure, Summary
from rayforget.report.mlflow.mirror_names import flatten_recipe

_SCORES = ("speciality", "generality")


def frontier_as_table(summary: Summary) -> bytes:
    """JSON of {"columns": [...], "data": [[...], ...]}, as `mlflow.log_table` writes it, including recipes.

    Rows ascend in speciality; a field that a recipe lacks, or a score that is not there yet, is null.
    """
    points = [summary.points[i] for i in summary.frontier]
    recipes = [flatten_recipe(point.recipe) for point in points]
    own = ("trial", "step", "fraction", "alpha", "path", "method")
    fields = sorted({name for recipe in recipes for name in recipe} - {*own})
    scores = [f"{split}/{name}{error}" for split in ("val", "test") for name in _SCORES for error in ("", "_error")]
    rows: list[list[Any]] = []
    for i, point, recipe in zip(summary.frontier, points, recipes, strict=True):
        row = [point.trial, point.step, point.fraction, point.alpha, point.path, point.method]
        row += [*_values(summary.val[i]), *_values(summary.test.get(i))]
        rows.append([*row, *(recipe.get(name) for name in fields)])
    return json.dumps({"columns": [*own, *scores, *fields], "data": rows}).encode()


def _values(measure: Measure | None) -> list[float | None]:
    names = [f"{name}{error}" for name in _SCORES for error in ("", "_error")]
    return [None if measure is None else getattr(measure, name) for name in names]
