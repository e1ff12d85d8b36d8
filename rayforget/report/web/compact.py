"""Thousands of points' descriptions -> a table of numbers and of texts that repeat, from which the page makes them.

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

EXPAND = """
function expandHovers(table) {
  function numbers(text, bytes) {
    var raw = atob(text), found = [];
    for (var i = 0; i < raw.length; i += bytes) {
      for (var value = 0, j = bytes - 1; j >= 0; j--) value = value * 256 + raw.charCodeAt(i + j);
      found.push(value);
    }
    return found;
  }
  var checkpoints = numbers(table.checkpoint, 4), alphas = numbers(table.alpha, 4);
  var scores = table.scores.map(function (text) { return numbers(text, 2); });
  function share(column, i) { return (scores[column][i] / 10).toFixed(1); }
  function describe(i) {
    if (table.whole[i] !== undefined) return table.whole[i];
    var c = table.checkpoints[checkpoints[i]];
    var lines = ["<b>" + c[0] + table.alphas[alphas[i]] + "</b>", c[1],
      "val: speciality " + share(0, i) + ", generality " + share(1, i)];
    for (var start = 0; start < table.tasks.length; start += table.perRow)
      lines.push("  " + table.tasks.slice(start, start + table.perRow).map(function (task, place) {
        return task + share(2 + start + place, i);
      }).join(" · "));
    return lines.concat(table.recipes[c[2]]).join("<br>");
  }
  return table.traces.map(function (text) { return numbers(text, 4).map(describe); });
}
"""
"""JavaScript: the table -> for each of its traces the descriptions of its points."""
SHOW = """
var table = JSON.parse(document.getElementById("hovers").textContent);
Plotly.restyle("frontier", {customdata: expandHovers(table)}, table.places);
"""
"""JavaScript: puts them into the chart."""


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
    tenths = np.array([[round(10 * float(percent(v).replace("−", "-"))) for v in row] for row in values])
    fits = [all(0 <= each <= _MOST for each in row) for row in tenths.tolist()]
    known = {i for i, whole in zip(shown, fits, strict=True) if whole} - summary.val.keys() - summary.test.keys()
    checkpoints: dict[tuple[str, int], int] = {}
    alphas: dict[str, int] = {}
    recipes: dict[str, int] = {}
    heads, of_checkpoint, of_alpha = [], [], []
    for point in points:
        key = (point.trial, point.step)
        if key not in checkpoints:
            checkpoints[key] = len(checkpoints)
            title, line = hover_checkpoint(point)
            heads.append([title, line, recipes.setdefault(point.trial, len(recipes))])
        of_checkpoint.append(checkpoints[key])
        of_alpha.append(alphas.setdefault(hover_alpha(point), len(alphas)))
    return {
        "places": list(traces),
        "traces": [_packed([place[i] for i in some], "<u4") for some in traces.values()],
        "checkpoints": heads,
        "checkpoint": _packed(of_checkpoint, "<u4"),
        "alphas": list(alphas),
        "alpha": _packed(of_alpha, "<u4"),
        "tasks": [hover_task(name) for name in roles],
        "perRow": PER_ROW,
        "scores": [_packed(column, "<u2") for column in np.clip(tenths, 0, _MOST).T] if points else [],
        "recipes": [hovers.recipe(trial) for trial in recipes],
        "whole": {place[i]: hovers.text(i) for i in shown if i not in known},
    }


def as_script(table: Mapping[str, Any]) -> str:
    """The table inside a page; no text of it can end the script."""
    text = json.dumps(table, ensure_ascii=False, separators=(",", ":"))
    return f'<script type="application/json" id="hovers">{text.replace("<", chr(92) + "u003c")}</script>'


def _packed(numbers: Sequence[int] | NDArray[np.int64], kind: str) -> str:
    return base64.b64encode(np.asarray(numbers).astype(kind).tobytes()).decode()
