"""Chosen models' items, task by task -> what each gained or lost on every task, with paired intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rayforget.frontier.baseline_errors import SEED
from rayforget.frontier.intervals import percentile_interval
from rayforget.frontier.points import PLAIN, FrontierPoint, PointKey, TaskRole
from rayforget.frontier.ranking import rank_points
from rayforget.frontier.summary import Summary
from rayforget.frontier.uncertainty import Draws, bootstrap_tasks, stack_scores
from rayforget.values.scores import Score, Split

Scores = Mapping[PointKey, Mapping[str, Score]]
"""Point -> task -> score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A score's difference to theta_0's."""

    value: float
    low: float | None
    """Lower end of the 95 % interval over items (paired percentile bootstrap); None without a bootstrap."""
    high: float | None

    @property
    def is_sure(self) -> bool:
        """Whether the interval excludes no change."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One method in the table of forgetting."""

    method: str
    points: tuple[int, ...]
    """Indices into the summary's points: the method's best one within the budget, or plain fine-tuning's seeds, whose
    mean counts; empty if no point of the method qualifies."""
    changes: tuple[Change, ...]
    """One per task; empty if there are no points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgetting:
    """What each method changes on each task."""

    tasks: tuple[TaskRole, ...]
    columns: tuple[Column, ...]
    picked: int | None
    """Index of the report's pick, which has a column: a method's own, or one of its own; None without a pick."""
    split: Split
    """`test` if all of these points were scored on it, else `val`."""


def best_within(summary: Summary, chosen: Sequence[int], *, max_loss: float) -> int | None:
    """Index of the best speciality among the chosen points that lose at most `max_loss` of generality on `val`.

    None if no such point beats theta_0.
    """
    points = [summary.points[i] for i in chosen]
    values = np.array([(point.speciality, point.generality) for point in points]).reshape(-1, 2)
    start = summary.theta_0.val
    floor = start.generality - max_loss
    order = rank_points(values[:, 0], values, values[:, 1:] - floor).order
    return chosen[order[0]] if order and values[order[0], 0] > start.speciality else None


def forgetting(
    summary: Summary, *, val: Scores, test: Scores, max_loss: float, picked: int | None, num_resamples: int
) -> Forgetting:
    """The change of every task's score from theta_0, for plain, the pick, and each method's best within the budget.

    Args:
        summary: the report; a method's points are those of its `curve`, at the alphas common to all trainings.
        val: scores of at least the points that a report chooses.
        test: scores on `test`, of these or fewer.
        max_loss: the budget of generality, in score units.
        picked: index of the point that the report picks, from all alphas and paths.
        num_resamples: 0 skips the bootstrap.

    Raises:
        RecordError: the models were not scored on the same items.
    """
    wanted: list[tuple[str, tuple[int, ...]]] = []
    if summary.plain is not None:
        wanted.append((PLAIN, summary.plain.points))
    for method in summary.methods:
        if method.method != PLAIN and method.trainings:
            best = best_within(summary, method.curve.chosen, max_loss=max_loss)
            wanted.append((method.method, () if best is None else (best,)))
    if picked is not None and (picked,) not in (points for _, points in wanted):
        wanted.insert(summary.plain is not None, (summary.points[picked].method, (picked,)))
    keys = {i: summary.points[i].key for _, points in wanted for i in points}
    base = summary.points[summary.theta_0.points[0]]
    honest = all(key in test for key in (base.key, *keys.values()))
    changes = _changes(wanted, base, keys, test if honest else val, summary.roles, num_resamples)
    return Forgetting(
        tasks=summary.roles,
        columns=tuple(
            Column(method=name, points=points, changes=found)
            for (name, points), found in zip(wanted, changes, strict=True)
        ),
        picked=picked,
        split="test" if honest else "val",
    )


def _changes(
    wanted: Sequence[tuple[str, tuple[int, ...]]],
    base: FrontierPoint,
    keys: Mapping[int, PointKey],
    scores: Scores,
    roles: Sequence[TaskRole],
    num_resamples: int,
) -> list[tuple[Change, ...]]:
    """Each column's changes; all models of a task share the draws."""
    place = {i: row for row, i in enumerate(keys, start=1)}
    found: list[list[Change]] = [[] for _ in wanted]
    models = [scores[base.key], *(scores[key] for key in keys.values())]
    names = [role.name for role in roles]
    drawn = None
    if num_resamples:
        draws = Draws(num_resamples=num_resamples, seed=SEED)
        drawn = bootstrap_tasks(lambda task: stack_scores([of[task] for of in models], task=task), names, draws)
    for number, name in enumerate(names):
        values = np.array([model[name].value for model in models])
        for (_, points), column in zip(wanted, found, strict=True):
            if not points:
                continue
            rows = [place[i] for i in points]
            value, low, high = float(values[rows].mean() - values[0]), None, None
            if drawn is not None:
                difference = drawn[:, rows, number].mean(axis=1) - drawn[:, 0, number]
                low, high = percentile_interval(difference).tolist()
            column.append(Change(value=value, low=low, high=high))
    return [tuple(column) for column in found]
