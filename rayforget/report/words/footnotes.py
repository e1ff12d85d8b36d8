"""A summary -> the footnotes of its tables: what a reader of the recovered values must know."""

from rayforget.frontier.points import PLAIN
from rayforget.frontier.summary import OneTraining, Summary
from rayforget.report.terminal.one_training import one_training_notes
from rayforget.report.words.half_splits import half_notes
from rayforget.report.words.plain import of_baseline, plain_is_given


def footnotes(summary: Summary) -> list[str]:
    """What a reader of the recovered values must know, the most general first."""
    notes = ["* optimistic: scored on the same items on which the points were chosen"]
    methods = [method for method in summary.methods if method.method != PLAIN]
    counts = sorted({method.trainings for method in methods})
    if len(counts) == 1:
        each = "1 training" if counts[0] == 1 else f"{counts[0]} trainings"
        notes.append(f"methods are compared at {each} each, on the α common to all trainings")
    elif counts:
        lost = ", failed ones not counted" if any(method.failed for method in methods) else ""
        notes.append(
            f"methods have from {counts[0]} to {counts[-1]} trainings with points{lost}: "
            "compare those with equal numbers only"
        )
    if summary.paths:
        notes.append(
            "α = 1 alone and all α are those of the lerp; the other paths are part of the frontier, and the table of "
            "paths compares them"
        )
    if summary.plain is not None:
        notes.append("plain is part of all and of no other method")
    if plain_is_given(summary):
        notes.append(
            "plain are the models as they were given, which were not trained here, and the baseline is their mean; a "
            "soup is the mean of their weights (greedy: of those with which the speciality on val does not fall)"
        )
    recoveries = [
        summary.recovery,
        *(one for method in (*methods, summary.together) for one in (method.alpha_1, method.curve)),
        *(one for path in summary.paths for one in (path.alone, path.with_lerp)),
    ]
    scored = [(found, split) for one in recoveries for found, split in ((one.test, "test"), (one.val, "val")) if found]
    undefined = next(((found.reason, split) for found, split in scored if found.reason), None)
    if undefined:
        notes.append(
            f"(pp²): undefined, the hypervolume stands alone: {of_baseline(undefined[0], summary)} ({undefined[1]})"
        )
    means: list[OneTraining] = [
        one for method in methods for one in (method.one_alone, method.one_curve) if one is not None
    ]
    intervals = [*(one.interval for one in recoveries), *(one.interval for one in means)]
    doubtful = next((interval.reason for interval in intervals if interval and interval.reason), None)
    if doubtful:
        notes.append(f"[undefined]: {of_baseline(doubtful, summary)}")
    untested = max(one.untested for one in recoveries)
    if not summary.test:
        notes.append("—: test is not scored yet")
    elif untested:
        notes.append(f"—: not every chosen point is scored on test (up to {untested} are missing)")
    notes += _metric_notes(summary)
    return [*notes, *one_training_notes(summary), *half_notes(summary), *summary.remarks]


def _metric_notes(summary: Summary) -> list[str]:
    """The scores' metrics, if they are not all accuracies."""
    tasks: dict[str, list[str]] = {}
    for role in summary.roles:
        tasks.setdefault(role.metric, []).append(role.name)
    if tasks.keys() <= {"accuracy"}:
        return []
    words = [f"{word} of {', '.join(names)}" for word, names in tasks.items()]
    return [f"scores: {'; '.join(words)}"]
