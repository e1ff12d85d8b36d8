"""Thousands of points' descriptions -> a table of numbers and of texts that repeat; `page_hovers.js` unpacks it.

Written out, a point's description takes half a kilobyte; here it takes some ten bytes, and each training's recipe is
there once. Points with errors or scores on `test` are few and have their descriptions as text.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rayforget.frontier.summary import Summary
from rayforget.report.web.hover import PER_ROW, Hovers, hover_alpha, hover_checkpoint, hover_task
from rayforget.report.words.numbers import percent

_MOST = np.iinfo(np.uint16).max


def compact_hovers(summary: Summary, hovers: Hovers, traces: Mapping[int, Sequence[int]]) -> dict[str, Any]:
    """The table as JSON values.

    Args:
        summary: the points.
        hovers: their descriptions.
        traces: place of a trace in the chart -> its points, as indices into the summary's.
    """
    shown = sorted({i for points in traces.values() for i in points})
    place = {i: row for row, i in enumerate(shown)}
    points = [summary.points[i] for i in shown]
    roles = [role.name for role in summary.roles]
    values = [[p.speciality, p.generality, *(p.tasks.get(name, -1.0) for name in roles)] for p in points]
    distinct, where = np.unique(values, return_inverse=True)  # a score has no more values than its task has items
    shown_tenths = np.array(
        [round(10 * float(percent(v).replace("−", "-"))) for v in distinct.tolist()], dtype=np.int64
    )
    tenths = shown_tenths[where].reshape(len(points), 2 + len(roles))
    fits = [all(0 <= each <= _MOST for each in row) for row in tenths.tolist()]
    known = {i for i, whole in zip(shown, fits, strict=True) if whole} - summary.val.keys() - summary.test.keys()
    checkpoints: dict[tuple[str, int], int] = {}
    alphas: dict[tuple[float, str], int] = {}
    labels: dict[tuple[float, str], str] = {}
    recipes: dict[str, int] = {}
    heads, of_checkpoint, of_alpha = [], [], []
    for point in points:
        key = (point.trial, point.step)
        if key not in checkpoints:
            checkpoints[key] = len(checkpoints)
            title, line = hover_checkpoint(point)
            recipe = recipes.setdefault(point.trial, len(recipes))
            heads.append([title, line, recipe, point.trial, point.step, point.fraction, point.method])
        of_checkpoint.append(checkpoints[key])
        of_alpha.append(alphas.setdefault((point.alpha, point.path), len(alphas)))
        labels[point.alpha, point.path] = hover_alpha(point)
    return {
        "places": list(traces),
        "traces": [_packed([place[i] for i in some]) for some in traces.values()],
        "checkpoints": heads,
        "checkpoint": _packed(of_checkpoint),
        "alphas": [[labels[spot], *spot] for spot in alphas],
        "alpha": _packed(of_alpha),
        "tasks": [hover_task(name) for name in roles],
        "perRow": PER_ROW,
        "scores": [_packed(column) for column in np.clip(tenths, 0, _MOST).T] if points else [],
        "recipes": [hovers.recipe(trial) for trial in recipes],
        "whole": {place[i]: hovers.text(i) for i in shown if i not in known},
    }


def as_script(value: Any, name: str) -> str:
    """A value inside a page; no text of it can end the script."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return f'<script type="application/json" id="{name}">{text.replace("<", chr(92) + "u003c")}</script>'


def _packed(numbers: Sequence[int] | NDArray[np.int64]) -> str:
    """Whole numbers, the lowest byte first, in base64; before them how many bytes each takes."""
    values = np.asarray(numbers, dtype=np.int64)
    width = next(width for width in (1, 2, 4) if values.max(initial=0) < 256**width)
    return str(width) + base64.b64encode(values.astype(f"<u{width}").tobytes()).decode()
