"""What trainings took and recover -> two drawings and a table: whether more was worth its time."""

from collections.abc import Sequence
from statistics import median

from rayforget.frontier.cost import SweepCost, TrainingCost
from rayforget.frontier.summary import Summary
from rayforget.report.method_styles import assign_looks
from rayforget.report.web.axes import linear_axis
from rayforget.report.web.html import Section, keys, plain_table, section
from rayforget.report.web.panel import Line, Panel, Series, draw
from rayforget.report.words.numbers import format_duration, format_one_training, name_method

_NOTE = "wall time of training alone, without scoring; recovered on val*, which is optimistic"
_HOUR, _MINUTE = 3600.0, 60.0


def cost_html(cost: SweepCost, summary: Summary) -> Section | None:
    """None while no training's time is recorded."""
    if not cost.trainings:
        return None
    panels = "".join(f"<figure>{draw(panel)}</figure>" for panel in _panels(cost, summary))
    shown = f'<div class="panels">{panels}</div>' if panels else ""
    if shown:
        looks = assign_looks(point.method for point in summary.points)
        shown = keys((each.method for each in cost.trainings), looks) + shown
    return section("cost", "Cost", shown, _table(cost, summary), note=_NOTE)


def _panels(cost: SweepCost, summary: Summary) -> list[Panel]:
    panels = []
    known = [(each, each.recovered) for each in cost.trainings if each.recovered is not None]
    if known:
        panels.append(_by_training(known, summary))
    if len(cost.progress) > 1:
        unit, word = _unit(cost.progress[-1][0])
        points = [(seconds / unit, value) for seconds, value in cost.progress]
        panels.append(
            Panel(
                x=linear_axis([x for x, _ in points], with_zero=True),
                y=linear_axis([y for _, y in points], with_zero=True),
                x_title=f"{word} of training so far, all trainings",
                y_title="recovered so far",
                what="recovered by the sweep against the time spent on training",
                lines=(Line(color="ink", points=points, steps=True),),
            )
        )
    return panels


def _by_training(known: Sequence[tuple[TrainingCost, float]], summary: Summary) -> Panel:
    looks = assign_looks(point.method for point in summary.points)
    unit, word = _unit(max(each.seconds for each, _ in known))
    return Panel(
        x=linear_axis([each.seconds / unit for each, _ in known], with_zero=True),
        y=linear_axis([value for _, value in known], with_zero=True),
        x_title=f"{word} of training, one training",
        y_title="recovered alone",
        what="recovered by each training against its time",
        series=tuple(
            Series(
                color=looks[method].name,
                symbol=looks[method].symbol,
                points=[
                    (
                        each.seconds / unit,
                        value,
                        f"{each.trial}: {format_duration(each.seconds)}, recovered {value:.2f}",
                    )
                    for each, value in known
                    if each.method == method
                ],
            )
            for method in dict.fromkeys(each.method for each, _ in known)
        ),
    )


def _unit(seconds: float) -> tuple[float, str]:
    if seconds > 2 * _HOUR:
        return _HOUR, "hours"
    return (_MINUTE, "minutes") if seconds > 2 * _MINUTE else (1.0, "seconds")


def _table(cost: SweepCost, summary: Summary) -> str:
    alone = {method.method: method.one_curve for method in summary.methods}
    rows = []
    for method in alone:
        own = [each.seconds for each in cost.trainings if each.method == method]
        if own:
            times = [format_duration(median(own)), format_duration(sum(own))]
            rows.append([name_method(method), str(len(own)), *times, format_one_training(alone[method])])
    heads = ("trainings", "one takes (median)", "all together", "one recovers, val*: mean [95 %]")
    return plain_table(("method",), heads, rows, what="time and recovered by method")
