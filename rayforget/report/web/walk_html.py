"""The controls and the table with which a reader walks along one training's curve; `page_walk.js` moves them."""

from html import escape
from typing import Any

from rayforget.frontier.summary import Summary
from rayforget.report.web.html import row, table
from rayforget.report.words.numbers import headline_pick, percent

_OBJECTIVES = ("speciality", "generality")


def can_walk(summary: Summary) -> bool:
    """Whether there is more than theta_0."""
    return any(i not in summary.theta_0.points for i in range(len(summary.points)))


def walk_html(summary: Summary) -> str:
    """Empty where there is nothing but theta_0."""
    if not can_walk(summary):
        return ""
    names = [*_OBJECTIVES, *(role.name for role in summary.roles)]
    rows = [row([escape(name), *[""] * 4], num_text=1, escaped=True) for name in names]
    head = (
        '<tr><th class="text" scope="col">% on val</th><th scope="col">θ0</th><th scope="col" id="walk-here"></th>'
        '<th scope="col">change</th><th scope="col" id="walk-end"></th></tr>'
    )
    scores = table(head, rows, what="scores along the training")
    choices = "".join(
        f'<label{hidden}>{name} <select id="walk-{name}"></select></label>'
        for name, hidden in (("training", ""), ("checkpoint", " hidden"), ("path", " hidden"))
    )
    return (
        '<div id="walk" role="group" aria-labelledby="walk-title"><h3 id="walk-title">Walk along a training</h3>\n'
        f'<div class="controls">{choices}<label class="wide-control">α <input type="range" id="walk-alpha" '
        'min="0" max="1" step="any" value="1"><output id="walk-value" for="walk-alpha"></output></label></div>\n'
        f'<p id="walk-said" aria-live="polite"></p>\n<div class="beside">{scores}{_DRAWING}</div></div>'
    )


_DRAWING = '<svg id="walk-curves" class="panel" viewBox="0 0 420 250" role="img"></svg>'


def walk_start(summary: Summary) -> dict[str, Any]:
    """What the script must know besides the table of points; scores in tenths of a percent, rounded as shown."""
    base = summary.points[summary.theta_0.points[0]]
    values = [base.speciality, base.generality, *(base.tasks.get(role.name, 0.0) for role in summary.roles)]
    picked = headline_pick(summary)
    first = picked.index if picked is not None else summary.frontier[-1]
    point = summary.points[first]
    return {
        "names": [*_OBJECTIVES, *(role.name for role in summary.roles)],
        "theta_0": [_tenths(value) for value in values],
        "frontier": [
            [_tenths(p.speciality), _tenths(p.generality)] for p in (summary.points[i] for i in summary.frontier)
        ],
        "point": [point.trial, point.step, point.path, point.alpha],
    }


def _tenths(share: float) -> int:
    return round(10 * float(percent(share).replace("−", "-")))
