"""Curves scored on some alphas, and the frontier so far -> the alphas worth scoring next.

Between two neighbouring alphas the curve is unknown. The best point that may lie there is the corner with the higher
speciality and the higher generality of the two ends, each raised by how far the curve bends there (an eighth of the
larger second difference at the ends: the height of a parabola's bulge over its chord). The hypervolume that this corner
would add to the frontier is the interval's promise. The most promising interval is halved; intervals whose corner the
frontier already dominates, or that are no wider than `min_width`, are left alone.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rayforget.frontier.hypervolume import hypervolume

P = TypeVar("P")
_NOTHING = 1e-9
"""A smaller promise is rounding."""


def next_alphas(
    curves: Mapping[P, Sequence[tuple[float, float, float]]],
    frontier: NDArray[np.float64],
    *,
    budget: int,
    min_width: float = 0.02,
) -> list[tuple[float, P]]:
    """(alpha, path) of the points to score next, most promising first; empty if none is worth it.

    The paths share the budget, and each must beat what the others have. Ties go to the lower alpha, then to the earlier
    path.

    Args:
        curves: path -> (alpha, speciality, generality) of each scored point, in any order, at least two alphas each.
        frontier: shape (n, 2), speciality and generality of the frontier over all trainings so far; may be empty.
        budget: the largest number of points.
        min_width: intervals of alpha up to this wide are not halved.
    """
    values = [np.array(curve, dtype=np.float64).reshape(-1, 3)[:, 1:] for curve in curves.values()]
    known = np.concatenate([np.asarray(frontier, dtype=np.float64).reshape(-1, 2), *values])
    found = [
        (-promise, alpha, place)
        for place, curve in enumerate(curves.values())
        for promise, alpha in _promises(curve, known, min_width)
    ]
    paths = list(curves)
    return [(alpha, paths[place]) for _, alpha, place in sorted(found)[:budget]]


def _promises(
    curve: Sequence[tuple[float, float, float]], known: NDArray[np.float64], min_width: float
) -> list[tuple[float, float]]:
    """(promise, middle) of every interval of the curve with a promise over what is known."""
    points = np.array(sorted(curve), dtype=np.float64)
    alphas, values = points[:, 0], points[:, 1:]
    reference = known.min(axis=0)
    base = hypervolume(known, reference)
    bend = _bend(alphas, values)
    promises = []
    for left in range(len(alphas) - 1):
        if alphas[left + 1] - alphas[left] <= min_width:
            continue
        corner = np.maximum(values[left], values[left + 1]) + np.maximum(bend[left], bend[left + 1])
        promise = hypervolume(np.concatenate([known, corner[None]]), reference) - base
        if promise > _NOTHING:
            promises.append((promise, round(float(alphas[left] + alphas[left + 1]) / 2, 4)))
    return promises


def _bend(alphas: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each objective may rise over its chord near each alpha, shape (num_alphas, 2); 0 at the two ends."""
    bend = np.zeros_like(values)
    if len(alphas) < 3:
        return bend
    slopes = np.diff(values, axis=0) / np.diff(alphas)[:, None]
    widths = (alphas[2:] - alphas[:-2]) / 2
    bend[1:-1] = np.maximum(0.0, -(np.diff(slopes, axis=0))) * widths[:, None] / 8
    return bend
