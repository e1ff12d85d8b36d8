"""A choice -> the sentences that say why this point, what it reaches, and what each limit costs."""

import math
import shlex
from collections.abc import Sequence

from rayforget.frontier.limits import Floor
from rayforget.frontier.paired import Reached
from rayforget.frontier.pick import Choice, Looser
from rayforget.frontier.points import FrontierPoint
from rayforget.frontier.summary import Summary
from rayforget.report.words.numbers import describe_change, name_point, percent

SURELY = "by the lower end of the paired 95 % interval"


def why(summary: Summary, choice: Choice) -> str:
    """Why the chosen point; if there is none, which limit failed and what would do."""
    if choice.index is None:
        return _why_nothing(summary, choice)
    match choice.limits.rule:
        case "speciality":
            what = "it has the most speciality"
        case "generality":
            what = "it has the most generality"
        case "weights":
            special, general = choice.limits.weights
            what = f"it has the largest {special:g} × speciality + {general:g} × generality"
        case "knee":
            what = "it is the knee, farthest beyond the line between the frontier's two ends"
    return f"{_among(choice)} {what}."


def _among(choice: Choice) -> str:
    """`Of the 4 points that lose at most 1 point of generality on val (of 9 that gain speciality),`."""
    limits, num = [limit_words(cost.floor) for cost in choice.costs], choice.num_qualified
    points = f"Of the {num} points" if num > 1 else "As the one point"
    if not limits:
        return f"{points} that gain{'' if num > 1 else 's'} speciality on val,"
    kept = _joined(limits) if num > 1 else _singular(_joined(limits))
    surely = f", {SURELY}" if choice.limits.sure else ""
    return f"{points} that {kept} on val{surely} (of {choice.num_points} that gain speciality),"


def _why_nothing(summary: Summary, choice: Choice) -> str:
    if not choice.num_points:
        return "No point gains speciality over θ0 on val, so that there is nothing to choose from; no limit would help."
    surely = f", {SURELY}" if choice.limits.sure else ""
    text = f"None of the {choice.num_points} points that gain speciality keeps every limit on val{surely}."
    for cost in choice.costs:
        words = limit_words(cost.floor)
        met = f"{cost.met} of them {words}" if cost.met > 1 else f"{'One' if cost.met else 'None'} {_singular(words)}"
        text += f" {met}."
    if choice.nearest:
        point = summary.points[choice.nearest[0][1].index]
        options = " ".join(option(floor, looser.least) for floor, looser in choice.nearest)
        text += f" The nearest is {point.key.text}; it would do with {options}."
    return text


def changes(summary: Summary, index: int) -> str:
    """What a point gained and lost against theta_0 on `val`, and on `test` where it is scored."""
    text = f"On val it {_change(summary, index, 'val')}"
    if summary.theta_0.test is None or index not in summary.test:
        return f"{text}; it is not scored on test."
    return f"{text}; on test, which had no say, it {_change(summary, index, 'test')}."


def _change(summary: Summary, index: int, split: str) -> str:
    before = summary.theta_0.val if split == "val" else summary.theta_0.test
    after = summary.val[index] if split == "val" else summary.test[index]
    assert before is not None
    gain, loss = after.speciality - before.speciality, before.generality - after.generality
    return describe_change(gain, loss, after.difference_errors)


def costs(summary: Summary, choice: Choice) -> list[str]:
    """What each limit costs: the nearest better point that it keeps out, and the best without it."""
    lines: list[str] = []
    if choice.index is None:
        return lines
    chosen = summary.points[choice.index]
    for cost in choice.costs:
        if cost.next is None:
            lines.append(f"To {limit_words(cost.floor)} costs nothing: this limit alone keeps no better point out.")
            continue
        text = f"To {limit_words(cost.floor)} costs: {_against(summary, chosen, cost.floor, cost.next)}"
        if cost.without is not None:
            text += f"; the best without the limit: {_against(summary, chosen, cost.floor, cost.without)}"
        lines.append(f"{text}.")
    return lines


def _against(summary: Summary, chosen: FrontierPoint, floor: Floor, looser: Looser) -> str:
    """`--max-forgetting 1.2 gives 0016-l2/48/lerp/1: 0.4 more speciality and 0.2 less generality`."""
    point = summary.points[looser.index]
    special = _more(point.speciality - chosen.speciality, "speciality")
    general = _more(point.generality - chosen.generality, "generality")
    return f"{option(floor, looser.least)} gives {point.key.text}, {special} and {general} on val"


def _more(difference: float, of: str) -> str:
    return f"{percent(abs(difference), 2)} {'more' if difference >= 0 else 'less'} {of}"


def elsewhere(summary: Summary, choice: Choice) -> str | None:
    """That a point beyond the report is better; None if none is."""
    if choice.elsewhere is None:
        return None
    point = summary.points[choice.elsewhere]
    return (
        f"Of all {len(summary.points)} points, {point.key.text} ({percent(point.speciality)} % speciality, "
        f"{percent(point.generality)} % generality on val) would be better; it is on no frontier of the report, so it "
        "is not scored on test, and its weights are kept only by chance."
    )


def limit_words(floor: Floor) -> str:
    """`lose at most 1 point of generality`."""
    if not floor.relative:
        return f"have at least {100 * floor.least:g} % {floor.name}"
    points = 100 * abs(floor.least)
    amount = f"{points:g} point" + ("" if points == 1 else "s")
    of = floor.name if floor.of in ("generality", "speciality") else f"{floor.of} {floor.name}"
    return f"gain at least {amount} of {of}" if floor.least > 0 else f"lose at most {amount} of {of}"


def option(floor: Floor, least: float) -> str:
    """The command line's option by which a limit lets this floor in: `--max-forgetting 1.13`, rounded to hold."""
    points = 100 * least
    if not floor.relative:
        return f"--min-speciality {_rounded_down(points):g}"
    loss = 0.0 - _rounded_down(points)  # never -0
    return (
        f"--max-forgetting {loss:g}" if floor.of == "generality" else f"--keep {shlex.quote(f'{floor.name}:{loss:g}')}"
    )


def _rounded_down(points: float) -> float:
    """To two decimals."""
    return math.floor(round(100 * points, 6)) / 100


def reached_cells(one: Reached | None) -> str:
    """`0.9 [0.3, 1.5]`: a loss with its interval, or a score; `—` if it is not measured."""
    if one is None:
        return "—"
    if one.floor.relative:
        return f"{percent(-one.value, 2)} [{percent(-one.high, 2)}, {percent(-one.low, 2)}]"
    return f"{percent(one.value, 2)} [{percent(one.low, 2)}, {percent(one.high, 2)}]"


def title(point: FrontierPoint) -> str:
    """The point's name for commands, and in words."""
    return f"{point.key.text}   {name_point(point)}"


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _singular(words: str) -> str:
    """`lose at most 1 point and have ...` -> `loses at most 1 point and has ...`."""
    for many, one in (("lose at", "loses at"), ("gain ", "gains "), ("have at", "has at")):
        words = words.replace(many, one)
    return words
