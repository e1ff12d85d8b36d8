"""Ranks on `val` and scores on `test` -> two drawings of whether what was selected is what is reported."""

from rayforget.frontier.agreement import Agreement
from rayforget.frontier.summary import Summary
from rayforget.report.method_styles import assign_looks
from rayforget.report.web.axes import linear_axis
from rayforget.report.web.html import Section, keys, section
from rayforget.report.web.panel import Line, Panel, Series, draw
from rayforget.report.words.numbers import name_point, signed

_NOTE = (
    "points that the report chose on val, by their rank there; mark: change from θ0 on test, stem: from its change on "
    "val, which is optimistic"
)


def agreement_html(found: tuple[Agreement, ...], summary: Summary) -> Section | None:
    """A sentence and two drawings; None while nothing was scored on both splits."""
    if not found:
        return None
    sentences = "\n".join(f"<p>{_sentence(each)}</p>" for each in found)
    panels = "".join(f"<figure>{draw(_panel(each, summary))}</figure>" for each in found)
    return section(
        "agreement",
        "Selected against reported",
        sentences,
        keys(
            (summary.points[i].method for i in found[0].points), assign_looks(point.method for point in summary.points)
        ),
        f'<div class="panels">{panels}</div>',
        note=_NOTE,
    )


def _sentence(each: Agreement) -> str:
    if each.correlation is None:
        return f"In {each.objective} a split does not tell the {len(each.points)} points apart."
    more = "more" if each.optimism >= 0 else "less"
    return (
        f"In {each.objective} the {len(each.points)} points' ranks on val and test correlate by "
        f"{each.correlation:.2f} (Spearman's), and val shows {100 * abs(each.optimism):.1f} points {more} than test."
    )


def _panel(each: Agreement, summary: Summary) -> Panel:
    looks = assign_looks(point.method for point in summary.points)
    points = [summary.points[i] for i in each.points]
    rows = list(zip(points, each.ranks, each.val, each.test, strict=True))
    return Panel(
        x=linear_axis(each.ranks),
        y=linear_axis([100 * value for value in (*each.val, *each.test)], with_zero=True),
        x_title=f"rank of {each.objective} on val (1 = best)",
        y_title=f"{each.objective} on test, points from θ0",
        what=f"{each.objective}: rank on val against change on test",
        lines=(
            Line(color="rule", points=[end for _, x, a, b in rows for end in ((x, 100 * a), (x, 100 * b))], pairs=True),
        ),
        series=tuple(
            Series(
                color=looks[method].name,
                symbol=looks[method].symbol,
                points=[
                    (rank, 100 * test, f"{name_point(point)}: val {signed(val)}, test {signed(test)}")
                    for point, rank, val, test in rows
                    if point.method == method
                ],
            )
            for method in dict.fromkeys(point.method for point in points)
        ),
    )
