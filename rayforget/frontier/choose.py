"""All points -> those that represent the sweep and each method: chosen on `val`, before `test` is read."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np

from rayforget.frontier.nondominated import check_pairs
from rayforget.frontier.points import PLAIN, THETA_0, FrontierPoint
from rayforget.space.path_text import LERP, path_name

ALL = "all"
"""Stands in place of a method: all methods and plain fine-tuning together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodChoice:
    """The points that represent one method; indices into the points, ascending in speciality."""

    method: str
    trainings: int
    """Number of trainings that have points."""
    alpha_1: tuple[int, ...]
    """Non-dominated among the method's points with alpha = 1 on the lerp: the method without interpolation."""
    curve: tuple[int, ...]
    """Non-dominated among the method's points on the lerp at the alphas common to all trainings."""


def choose(points: Sequence[FrontierPoint], within: Callable[[FrontierPoint], bool]) -> tuple[int, ...]:
    """Indices of the non-dominated points on `val` for which `within` holds, ascending in speciality.

    Among exact duplicates the one with the lowest `PointKey.order` is taken, whatever the order of `points`. The start
    of a curve is theta_0 again and never chosen; theta_0's own point represents it.
    """
    return choose_among(points, [i for i, point in enumerate(points) if within(point)])


def choose_among(points: Sequence[FrontierPoint], indices: Iterable[int]) -> tuple[int, ...]:
    """`choose` among the points at these indices."""
    pairs = {i: (points[i].speciality, points[i].generality) for i in indices if not points[i].is_copy_of_theta_0}
    if not all(isfinite(s) and isfinite(g) for s, g in pairs.values()):
        check_pairs(np.array([*pairs.values()]))
    kept: list[int] = []
    for i in sorted(pairs, key=pairs.__getitem__, reverse=True):  # thousands of times of a few points: numpy is slower
        if not kept or pairs[i][1] > pairs[kept[-1]][1]:
            kept.append(i)
        elif pairs[i] == pairs[kept[-1]] and points[i].key.order < points[kept[-1]].key.order:
            kept[-1] = i
    return tuple(reversed(kept))


def choose_frontier(points: Sequence[FrontierPoint]) -> tuple[int, ...]:
    """The sweep's frontier among all points, including theta_0, refined alphas and every path."""
    return choose(points, lambda point: True)


def choose_by_method(points: Sequence[FrontierPoint]) -> tuple[MethodChoice, ...]:
    """One choice per method in the order of their names, then `plain`, then `all`.

    `plain`'s curves are part of `all` and of no other method. theta_0 belongs to no method, since it adds no area
    anywhere.
    """
    of: dict[str, list[int]] = {}
    for i, point in enumerate(points):
        of.setdefault(point.method, []).append(i)
    theta_0 = set(of.pop(THETA_0, ()))
    methods = sorted(of, key=lambda method: (method == PLAIN, method))
    together = [i for i in range(len(points)) if i not in theta_0]
    own = [(method, of[method]) for method in methods]
    return tuple(_choose_method(points, method, indices) for method, indices in [*own, (ALL, together)])


def _choose_method(points: Sequence[FrontierPoint], method: str, own: Sequence[int]) -> MethodChoice:
    return MethodChoice(
        method=method,
        trainings=len({points[i].trial for i in own}),
        alpha_1=choose_among(points, [i for i in own if is_uninterpolated(points[i])]),
        curve=choose_among(points, [i for i in own if is_on_common_grid(points[i])]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PathChoice:
    """The points that represent one path, over all methods; indices into the points, ascending in speciality."""

    path: str
    """Text of a path scored on the coarse alphas; name of a path fitted by an inner search."""
    searched: bool
    models: int
    """Number of models scored for it: its points, except theta_0 at the start of each curve."""
    alone: tuple[int, ...]
    """Non-dominated among its points: on the coarse alphas, or all that its search scored."""
    with_lerp: tuple[int, ...]
    """Non-dominated among these and the lerp's on the coarse alphas: compared to the lerp alone, what the path adds."""


def choose_by_path(points: Sequence[FrontierPoint]) -> tuple[PathChoice, ...]:
    """One choice per path, the lerp first; empty if there is no other path.

    Paths on the coarse alphas are compared at equal numbers of models. Refined alphas count only for the frontier.
    """
    trained = [point for point in points if point.method != THETA_0 and not point.is_copy_of_theta_0]
    fixed = sorted({point.path for point in trained if point.coarse} - {LERP})
    fits = {point.path for point in trained} - {LERP, *fixed}
    searched = sorted({path_name(path) for path in fits})
    if not fixed and not searched:
        return ()

    def of_grid(path: str) -> PathChoice:
        return _choose_path(points, path, False, lambda point: point.coarse and point.path == path)

    def of_search(name: str) -> PathChoice:
        return _choose_path(points, name, True, lambda point: point.path in fits and path_name(point.path) == name)

    return (*map(of_grid, (LERP, *fixed)), *map(of_search, searched))


def _choose_path(
    points: Sequence[FrontierPoint], path: str, searched: bool, within: Callable[[FrontierPoint], bool]
) -> PathChoice:
    def belongs(point: FrontierPoint) -> bool:
        return point.method != THETA_0 and within(point)

    def joins(point: FrontierPoint) -> bool:
        return belongs(point) or (point.method != THETA_0 and is_on_common_grid(point))

    return PathChoice(
        path=path,
        searched=searched,
        models=sum(belongs(point) and not point.is_copy_of_theta_0 for point in points),
        alone=choose(points, belongs),
        with_lerp=choose(points, joins),
    )


def points_to_report(points: Sequence[FrontierPoint]) -> tuple[int, ...]:
    """Every point whose items a report needs on both splits: of the baselines, the frontier, each method and each path.

    The weights of these points' trainings should be kept until the report is written.
    """
    wanted = {i for i, point in enumerate(points) if point.method == THETA_0 or is_plain_baseline(point)}
    wanted.update(choose_frontier(points))
    for choice in choose_by_method(points):
        wanted.update(choice.alpha_1, choice.curve)
    for path in choose_by_path(points):
        wanted.update(path.alone, path.with_lerp)
    return tuple(sorted(wanted))


def is_plain_baseline(point: FrontierPoint) -> bool:
    """Whether this is the result of one seed of plain fine-tuning: its last checkpoint, not interpolated."""
    return point.method == PLAIN and is_uninterpolated(point) and point.fraction == 1


def is_uninterpolated(point: FrontierPoint) -> bool:
    """Whether this is a training's own result: alpha = 1 on the lerp; another path need not end there."""
    return point.path == LERP and point.alpha == 1


def is_on_common_grid(point: FrontierPoint) -> bool:
    """Whether every training has a point at this alpha of the lerp; methods are compared on such points."""
    return point.path == LERP and point.coarse
