"""All points and a disk budget -> which (trial, step) keep their weights; decides only, deletes nothing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rayforget.frontier.choose import choose_frontier, points_to_report
from rayforget.frontier.points import FrontierPoint, TaskRole, aggregate
from rayforget.frontier.recovered import Pair
from rayforget.values.scores import Score

Checkpoint = tuple[str, int]
"""(trial, step): kept or deleted as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Which weights on disk to keep and to delete."""

    keep: tuple[Checkpoint, ...]
    """Ascending."""
    delete: tuple[Checkpoint, ...]
    """Ascending."""
    warning: str | None
    """Tells the user if the weights that must stay exceed the budget."""


def retain(
    points: Sequence[FrontierPoint],
    stored: Mapping[Checkpoint, int],
    *,
    pinned: Collection[Checkpoint] = (),
    margin: Pair,
    max_bytes: float,
) -> Retention:
    """Keeps what the report will score and what is pinned, then what lies nearest to the frontier, up to the budget.

    A (trial, step) must stay if it owns a point of the sweep's frontier or of its method's frontier from alpha = 1 or
    from the common alphas, is a baseline (`points_to_report`), or is pinned. It may stay if raising one of its points
    by less than `margin` in both coordinates puts it on the sweep's frontier. If all this exceeds `max_bytes`, those
    farthest from the frontier are deleted first (of ties the highest (trial, step)); what must stay stays. Weights
    without a point stay too: they are written before their record, maybe by another slot at this moment (`Sweep.clean`
    deletes what a killed one left).

    Args:
        points: every point of the sweep, in any order, including those whose weights are gone or never were.
        stored: (trial, step) -> bytes of all weights on disk.
        pinned: (trial, step) that stay whatever their scores, e.g. the baselines'.
        margin: in units of S and of G; a 0 in either keeps nothing off the frontier.
        max_bytes: limit on all weights together.
    """
    ordered = sorted(points, key=lambda point: point.key.order)
    owners = {(ordered[i].trial, ordered[i].step) for i in points_to_report(ordered)}
    known = {(point.trial, point.step) for point in ordered}
    must = {key for key in stored if key in owners or key in pinned or key not in known}
    near = {key: gap for key, gap in _gaps(ordered, margin).items() if key in stored and key not in must}
    keep, used = set(must), sum(stored[checkpoint] for checkpoint in must)
    for checkpoint in sorted(near, key=lambda key: (near[key], key)):
        used += stored[checkpoint]
        if used > max_bytes:
            break
        keep.add(checkpoint)
    return Retention(
        keep=tuple(sorted(keep)),
        delete=tuple(sorted(stored.keys() - keep)),
        warning=_warning(sum(stored[checkpoint] for checkpoint in must), len(must), max_bytes),
    )


def distances(values: NDArray[np.float64], frontier: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much both coordinates of each point must rise until no frontier point is better in both.

    d(p) = max over f of min(f_S - p_S, f_G - p_G), and 0 on the frontier: the additive epsilon of Zitzler et al. 2003.

    Args:
        values: shape (num_points, 2).
        frontier: shape (num_frontier, 2), at least one.

    Returns:
        Shape (num_points,), in score units.
    """
    gaps: NDArray[np.float64] = (frontier[None] - values[:, None]).min(axis=2).max(axis=1)
    return np.maximum(gaps, 0.0)


def standard_errors(scores: Mapping[str, Score], roles: Sequence[TaskRole]) -> Pair:
    """One model's standard errors of S and of G over items, in closed form: the default margin.

    Var(S) = sum_t a_t^2 v_t, with v_t the score's variance to first order (`ScoredItems.variances`) and a_t as in
    `points.aggregate`. Unpaired, unlike the report's bootstrap: good enough to decide what stays on disk.
    """
    variances = np.array([scores[role.name].scored.variances()[0] for role in roles])
    shares = aggregate(np.eye(len(roles)), roles)
    special, general = np.sqrt((shares**2 * variances[:, None]).sum(axis=0))
    return float(special), float(general)


def _gaps(points: Sequence[FrontierPoint], margin: Pair) -> dict[Checkpoint, float]:
    """The distance from the frontier of every (trial, step) with a point within the margin.

    A curve's start is theta_0 and needs no weights, so it never counts.
    """
    frontier = np.array([_pair(points[i]) for i in choose_frontier(points)]).reshape(-1, 2)
    own = [point for point in points if not point.is_copy_of_theta_0]
    if not own:
        return {}
    values = np.array([_pair(point) for point in own])
    beaten = (frontier[None] - values[:, None] >= np.array(margin)).all(axis=2).any(axis=1)
    gaps: dict[Checkpoint, float] = {}
    for point, off, distance in zip(own, beaten, distances(values, frontier), strict=True):
        if not off:
            key = (point.trial, point.step)
            gaps[key] = min(gaps.get(key, np.inf), float(distance))
    return gaps


def _pair(point: FrontierPoint) -> Pair:
    return (point.speciality, point.generality)


def _warning(must_bytes: int, num_must: int, max_bytes: float) -> str | None:
    if must_bytes <= max_bytes:
        return None
    return (
        f"the weights that must stay (for the report, or pinned: {num_must} checkpoints) take {must_bytes / 2**30:.2f} "
        f"GiB, more than storage.keep.max_gib = {max_bytes / 2**30:.2f}; they stay: raise max_gib or free the disk"
    )
