"""A summary -> the table of what one training of each method recovers alone, by which methods are compared."""

from rayforget.frontier.intervals import measured_coverage
from rayforget.frontier.points import PLAIN
from rayforget.frontier.summary import MethodSummary, OneTraining, Summary
from rayforget.report.words.numbers import format_one_training, name_method
from rayforget.report.words.plain import plain_is_given

TITLE = "One training"
NOTE = "what a training recovers alone, on val*: mean [95 %]; compare methods by this"
TEXT_HEADS: tuple[str, ...] = ("method",)
NUMBER_HEADS: tuple[str, ...] = ("trainings", "α = 1 alone", "all α")


def one_training_rows(summary: Summary) -> list[list[str]]:
    """One row per method with a known value; none while plain fine-tuning is not measured, or recovered is
    undefined."""
    return [
        [name_method(method.method), _count(method), *(format_one_training(one) for one in _both(method))]
        for method in _known(summary)
    ]


def one_training_notes(summary: Summary) -> list[str]:
    """What a reader of these intervals must know."""
    methods = _known(summary)
    searched = [method for method in methods if method.method != PLAIN] or methods
    found = [one for method in searched for one in _both(method) if one is not None]
    notes = []
    with_interval = [one.recipes for one in found if one.interval is not None]
    given = plain_is_given(summary)
    if with_interval and not given and _has_one_seed(summary):
        notes.append(
            "one training: intervals over items and trainings (Student's t) but not over plain's seeds: a single one "
            "does not tell how another would differ, and the intervals are too narrow by that"
        )
    elif with_interval:
        tried, share = measured_coverage(min(with_interval))
        over = "items and models" if given else "items, trainings and plain's seeds"
        notes.append(
            f"one training: intervals over {over} (Student's t); in simulated sweeps "
            f"{100 * share:.0f} % of them held the truth at {tried} trainings"
        )
    if with_interval and summary.adaptive and not given:
        notes.append(
            "one training: recipes that a sampler chose after others are not independent draws; the mean is then that "
            "of its choices, and the interval too narrow"
        )
    if any(_shares_recipes(method) for method in methods):
        notes.append("one training: seeds of one recipe are averaged first and count as one")
    if any(one.recipes == 1 and one.interval is None for one in found):
        notes.append("one training: a single one does not tell how another would differ")
    return notes


def _has_one_seed(summary: Summary) -> bool:
    """Whether the baseline has no error of its own: with one seed it is not known (measured: 86 % coverage where the
    seeds' spread was 15 % of the box)."""
    return summary.plain is not None and len(summary.plain.points) == 1


def _known(summary: Summary) -> list[MethodSummary]:
    return [method for method in summary.methods if any(one is not None for one in _both(method))]


def _both(method: MethodSummary) -> tuple[OneTraining | None, OneTraining | None]:
    return method.one_alone, method.one_curve


def _count(method: MethodSummary) -> str:
    if not _shares_recipes(method):
        return str(method.trainings)
    recipes = _recipes(method)
    return f"{method.trainings} ({recipes} recipe{'s' if recipes > 1 else ''})"


def _shares_recipes(method: MethodSummary) -> bool:
    return _recipes(method) < method.trainings


def _recipes(method: MethodSummary) -> int:
    return max((one.recipes for one in _both(method) if one is not None), default=method.trainings)
