"""All points -> which of them stand for the sweep and for each method: chosen on `val`, before `test` is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rayforget.frontier.nondominated import nondominated
from rayforget.frontier.points import PLAIN, THETA_0, FrontierPoint

ALL = "all"
"""In the place of a method: every method and plain fine-tuning together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodChoice:
    """The points that stand for one method; indices into the points, ascending in speciality."""

    method: str
    trainings: int
    """Trainings that have points."""
    alpha_1: tuple[int, ...]
    """Non-dominated among the method's points with alpha = 1: what it does without interpolation."""
    curve: tuple[int, ...]
    """Non-dominated among the method's points on the alphas common to all trainings."""


def choose(points: Sequence[FrontierPoint], within: Callable[[FrontierPoint], bool]) -> tuple[int, ...]:
    """Indices of the non-dominated points on `val` for which `within` holds, ascending in speciality.

    Of exact duplicates the one with the lowest (trial, step, alpha) is taken, whatever the order of `points`. The
    start of a curve is theta_0 again and is never chosen; theta_0's own point stands for it.
    """
    held = [i for i, point in enumerate(points) if not point.is_copy_of_theta_0 and within(point)]
    held.sort(key=lambda i: points[i].key)
    values = np.array([(points[i].speciality, points[i].generality) for i in held]).reshape(-1, 2)
    kept = [i for i, on_frontier in zip(held, nondominated(values), strict=True) if on_frontier]
    return tuple(sorted(kept, key=lambda i: points[i].speciality))


def choose_frontier(points: Sequence[FrontierPoint]) -> tuple[int, ...]:
    """The sweep's frontier: of all points, theta_0's and refined alphas included."""
    return choose(points, lambda point: True)


def choose_by_method(points: Sequence[FrontierPoint]) -> tuple[MethodChoice, ...]:
    """One choice per method in the order of their names, then `plain`, then `all`.

    `plain`'s curves are part of `all` and of no other method. theta_0 belongs to none: it adds no area anywhere.
    """
    methods = sorted({point.method for point in points} - {THETA_0, PLAIN})
    if any(point.method == PLAIN for point in points):
        methods.append(PLAIN)
    return tuple(_choose_method(points, method) for method in [*methods, ALL])


def _choose_method(points: Sequence[FrontierPoint], method: str) -> MethodChoice:
    def belongs(point: FrontierPoint) -> bool:
        return point.method == method or (method == ALL and point.method != THETA_0)

    return MethodChoice(
        method=method,
        trainings=len({point.trial for point in points if belongs(point)}),
        alpha_1=choose(points, lambda point: belongs(point) and is_uninterpolated(point)),
        curve=choose(points, lambda point: belongs(point) and is_on_common_grid(point)),
    )


def points_to_report(points: Sequence[FrontierPoint]) -> tuple[int, ...]:
    """Every point whose items a report needs on both splits: the baselines', the frontier's, each method's choices.

    Whoever deletes weights should keep these points' trainings until the report is written.
    """
    wanted = {i for i, point in enumerate(points) if point.method == THETA_0 or is_plain_baseline(point)}
    wanted.update(choose_frontier(points))
    for choice in choose_by_method(points):
        wanted.update(choice.alpha_1, choice.curve)
    return tuple(sorted(wanted))


def is_plain_baseline(point: FrontierPoint) -> bool:
    """Whether this is what one seed of plain fine-tuning arrives at: its last checkpoint, not interpolated."""
    return point.method == PLAIN and point.alpha == 1 and point.fraction == 1


def is_uninterpolated(point: FrontierPoint) -> bool:
    """Whether this is what a training arrives at by itself: alpha = 1."""
    return point.alpha == 1


def is_on_common_grid(point: FrontierPoint) -> bool:
    """Whether every training has a point at this alpha; methods are compared on these."""
    return point.coarse
