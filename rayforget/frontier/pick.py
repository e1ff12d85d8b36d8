"""A summary and limits -> the one point to take, the next best, and what each limit costs; chosen on `val` alone.

`test` is not looked at here: whoever chooses by it has nothing left to judge the choice by.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rayforget.frontier.compare import Scores
from rayforget.frontier.limits import Floats, Floor, Limits, ModelScores, floors_of
from rayforget.frontier.paired import lowest_values
from rayforget.frontier.points import THETA_0, FrontierPoint
from rayforget.frontier.ranking import Ranked, bulges, rank_points
from rayforget.frontier.summary import Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Looser:
    """A point that one limit keeps out, and the limit that would let it in."""

    index: int
    """Index into the summary's points."""
    least: float
    """The floor that it keeps; of a difference, minus the largest loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one limit costs: better points that keep all other limits."""

    floor: Floor
    met: int
    """How many of the points that were chosen from keep it."""
    next: Looser | None
    """That which asks least of a looser limit; None if this limit keeps nothing better out."""
    without: Looser | None
    """The best without this limit; None if it is `next`, or nothing is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The point to take, and why; indices are the summary's."""

    limits: Limits
    num_points: int
    """Points chosen from: those of the report that gain speciality over theta_0."""
    num_qualified: int
    """Those of them that keep every limit."""
    index: int | None
    """None if none does."""
    next: tuple[int, ...] = ()
    """The next two by the same rule, each better than all before it in speciality or in generality."""
    costs: tuple[Cost, ...]
    """One for each limit."""
    nearest: tuple[tuple[Floor, Looser], ...] = ()
    """If nothing qualifies: the point that falls least below its floors, and each floor that it needs."""
    elsewhere: int | None = None
    """A point that is better by the same rule and not in the report: not on the frontier, so that its weights may be
    gone and `test` is not scored. None if there is none, and not looked for if limits must be kept surely."""


def pick_point(summary: Summary, limits: Limits, *, val: Scores | None = None) -> Choice:
    """Chooses, on `val`, among the points of the report (`choose.points_to_report`) that gain speciality over theta_0.

    Of those that keep every limit, the best by the limits' rule is taken; of equals the one of more speciality, then of
    more generality, then of the lowest key. Limits on speciality and generality alone are always kept best by a point
    of the frontier; with limits on tasks, or sure ones, another point of the report may be the best.

    Args:
        summary: the sweep's.
        limits: what the point must keep, and the rule.
        val: scores with items of the report's points (`Report.gathered.val`); needed only for limits that must be kept
            surely.

    Raises:
        SpaceError: a limit names no task and no group.
        RecordError: a value is NaN or infinite, or the points were not scored on the same items.
    """
    floors, start = floors_of(limits, summary.roles), summary.points[summary.theta_0.points[0]]
    shown = _gaining(summary, sorted(summary.val))
    points = [summary.points[i] for i in shown]
    if limits.sure:
        assert val is not None, "sure limits need val's items"
        keys = [point.key for point in points]
        reached = lowest_values(floors, keys, val, summary.roles, theta_0=start.key)
    else:
        reached = _values(floors, points, start)
    better = _objective(points, limits, summary)
    found = rank_points(better, pairs_of(points), reached - np.array([floor.least for floor in floors]))
    return Choice(
        limits=limits,
        num_points=len(shown),
        num_qualified=int(found.met.all(axis=1).sum()),
        index=shown[found.order[0]] if found.order else None,
        next=tuple(shown[i] for i in found.order[1:]),
        costs=tuple(_cost(floor, place, found, reached, shown) for place, floor in enumerate(floors)),
        nearest=tuple((floors[k], Looser(index=shown[i], least=float(reached[i, k]))) for i, k in found.nearest),
        elsewhere=None if limits.sure or not limits.keep else _elsewhere(summary, limits, floors, shown, found),
    )


def pairs_of(points: Sequence[FrontierPoint]) -> Floats:
    """(S, G) on `val`: shape (num_points, 2)."""
    return np.array([(point.speciality, point.generality) for point in points]).reshape(-1, 2)


def _gaining(summary: Summary, indices: Sequence[int]) -> list[int]:
    """Those that gain speciality over theta_0: one that does not is no better than what the user had before."""
    base = summary.points[summary.theta_0.points[0]].speciality
    points = ((i, summary.points[i]) for i in indices)
    return [i for i, p in points if p.method != THETA_0 and not p.is_copy_of_theta_0 and p.speciality > base]


def _objective(points: Sequence[FrontierPoint], limits: Limits, summary: Summary) -> Floats:
    values = pairs_of(points)
    match limits.rule:
        case "speciality":
            return values[:, 0]
        case "generality":
            return values[:, 1]
        case "weights":
            sums: Floats = values @ np.array(limits.weights)
            return sums.round(12)  # equal sums must tie
        case "knee":
            return bulges(values, pairs_of([summary.points[i] for i in summary.frontier])).round(12)


def _values(floors: Sequence[Floor], points: Sequence[FrontierPoint], theta_0: FrontierPoint) -> Floats:
    """Each floor's score or difference on `val`: shape (num_points, num_floors)."""
    names = {task for floor in floors for task in floor.tasks}
    models, base = (
        ModelScores(tasks={name: np.array([p.tasks[name] for p in some]) for name in names}, pairs=pairs_of(some))
        for some in (points, [theta_0])
    )
    return np.array([floor.values(models, base) for floor in floors]).reshape(len(floors), len(points)).T


def _cost(floor: Floor, place: int, found: Ranked, reached: Floats, shown: Sequence[int]) -> Cost:
    others = np.delete(found.met, place, axis=1).all(axis=1)
    best = found.rank[found.order[0]] if found.order else len(found.rank)
    kept_out = np.flatnonzero(others & ~found.met[:, place] & (found.rank < best))
    looser: list[Looser] = []
    if len(kept_out) and found.order:
        by_rank = kept_out[np.argsort(found.rank[kept_out])]
        nearest = by_rank[np.argmax(reached[by_rank, place])]
        for i in dict.fromkeys((int(nearest), int(by_rank[0]))):
            looser.append(Looser(index=shown[i], least=float(reached[i, place])))
    closest, best_without = (*looser, None, None)[:2]
    return Cost(floor=floor, met=int(found.met[:, place].sum()), next=closest, without=best_without)


def _elsewhere(
    summary: Summary, limits: Limits, floors: Sequence[Floor], shown: Sequence[int], found: Ranked
) -> int | None:
    """The best of all points, if it is none of the report's and better by the rule itself, not by a tie alone."""
    rest = [i for i in _gaining(summary, range(len(summary.points))) if i not in summary.val]
    best = [shown[found.order[0]]] if found.order else []
    indices = [*best, *rest]
    points = [summary.points[i] for i in indices]
    if not points:
        return None
    objective = _objective(points, limits, summary)
    start = summary.points[summary.theta_0.points[0]]
    margins = _values(floors, points, start) - np.array([floor.least for floor in floors])
    ranked = rank_points(objective, pairs_of(points), margins)
    if not ranked.order or (best and objective[ranked.order[0]] <= objective[0]):
        return None
    return indices[ranked.order[0]]
