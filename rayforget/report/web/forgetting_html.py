"""What each method changes on each task -> a heat map that is a table: every shade has its number in it."""

from html import escape

from rayforget.frontier.forgetting import Change, Column, Forgetting
from rayforget.frontier.limits import MAX_FORGETTING
from rayforget.frontier.points import PLAIN, TaskRole
from rayforget.frontier.summary import Summary
from rayforget.report.method_styles import assign_looks
from rayforget.report.web.html import Section, key, section, table
from rayforget.report.words.numbers import name_alpha, name_method, signed
from rayforget.report.words.plain import seed_word

_STRONGEST = 0.55
"""Opacity of the largest change, on which text stays readable."""
_LEAST_SCALE = 0.02
"""Change that has the strongest shade where all are smaller: noise must not look like a finding."""


def forgetting_html(found: Forgetting, summary: Summary) -> Section | None:
    """Tasks down, methods across; None if no method has a point yet."""
    if not any(column.changes for column in found.columns):
        return None
    looks = assign_looks(point.method for point in summary.points)
    scale = max(_LEAST_SCALE, *(abs(change.value) for column in found.columns for change in column.changes))
    heads = "".join(
        f'<th scope="col">{key(looks[column.method]) if column.method in looks else ""}'
        f"{escape(name_method(column.method))}<small>{escape(_point(column, found, summary))}</small></th>"
        for column in found.columns
    )
    rows = []
    for place, role in enumerate(found.tasks):
        cells = "".join(_cell(column.changes[place] if column.changes else None, scale) for column in found.columns)
        rows.append(
            f'<tr><th scope="row" class="text">{escape(role.name)}<small>{_kind(role)}</small></th>{cells}</tr>'
        )
    head = f'<tr><th class="text" scope="col">task</th>{heads}</tr>'
    note = (
        f"change of each task's score from θ0 on {found.split}, in points [95 % over items, paired]; a method's point "
        f"is its best on val for at most {100 * MAX_FORGETTING:g} point of generality at the α common to all "
        f"trainings, the pick the best of all points; plain is the mean of its {seed_word(summary)}s at α = 1; bold: "
        "the interval excludes 0"
    )
    return section(
        "forgetting", "Forgetting by task", table(head, rows, what="forgetting by task", kind="heat"), note=note
    )


def _kind(role: TaskRole) -> str:
    return "speciality" if role.role == "speciality" else escape(role.group)


def _point(column: Column, found: Forgetting, summary: Summary) -> str:
    if not column.points:
        return "none within the budget"
    if column.points == (found.picked,):
        return f"{name_alpha(summary.points[column.points[0]])}, the pick"
    return "α = 1" if column.method == PLAIN else name_alpha(summary.points[column.points[0]])


def _cell(change: Change | None, scale: float) -> str:
    if change is None:
        return "<td>—</td>"
    share = _STRONGEST * min(abs(change.value) / scale, 1.0)
    color = "gain" if change.value > 0 else "loss"
    value = f"<b>{signed(change.value)}</b>" if change.is_sure else signed(change.value)
    ends = ""
    if change.low is not None and change.high is not None:
        ends = f"<small>[{signed(change.low)}, {signed(change.high)}]</small>"
    return f'<td style="background:rgb(var(--{color}) / {share:.2f})">{value}{ends}</td>'
