"""Points, an objective and floors in arrays -> their order, the best that keeps all floors, and the nearest that does
not."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rayforget.frontier.limits import SLACK, Floats
from rayforget.frontier.nondominated import check_pairs

_NUM_NEXT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """The choice in arrays; places are rows."""

    met: NDArray[np.bool_]
    """Shape (num_points, num_floors)."""
    margins: Floats
    """Shape (num_points, num_floors)."""
    rank: NDArray[np.int64]
    """Shape (num_points,): the place of each point in the rule's order, limits aside; 0 is the best."""
    order: tuple[int, ...]
    """The best that meets all, and the next two."""
    nearest: tuple[tuple[int, int], ...]
    """If nothing meets all: (the nearest point, floor) for each floor that it is below."""


def rank_points(objective: Floats, values: Floats, margins: Floats) -> Ranked:
    """Ranks points by an objective, then S, then G, then their place, and takes the best that meets every floor.

    Args:
        objective: shape (num_points,), larger is better.
        values: shape (num_points, 2), (S, G).
        margins: shape (num_points, num_floors), how far each point is above each floor; negative if below.

    Raises:
        RecordError: a value is NaN or infinite.
    """
    check_pairs(values)
    met: NDArray[np.bool_] = np.greater_equal(margins, -SLACK)
    ranked = np.lexsort((-values[:, 1], -values[:, 0], -objective))
    rank = np.empty(len(ranked), dtype=np.int64)
    rank[ranked] = np.arange(len(ranked))
    order: list[int] = []
    for i in ranked:
        if met[i].all() and len(order) <= _NUM_NEXT and not any((values[i] <= values[other]).all() for other in order):
            order.append(int(i))
    nearest: tuple[tuple[int, int], ...] = ()
    if not order and len(ranked):
        closest = int(np.lexsort((rank, -margins.min(axis=1)))[0])
        nearest = tuple((closest, int(k)) for k in np.flatnonzero(~met[closest]))
    return Ranked(met=met, margins=margins, rank=rank, order=tuple(order), nearest=nearest)


def bulges(values: Floats, frontier: Floats) -> Floats:
    """How far each point lies beyond the straight line between the frontier's ends; the knee is where it is largest.

    With s and g in [0, 1] between the two ends (the most general point has s = 0 and g = 1, the most special one s = 1
    and g = 0) the distance from their line is (s + g - 1) / sqrt(2). The knee as the point farthest from the line (in
    more than two objectives: the plane) of the individual optima is Das's (1999, "On characterizing the knee of the
    Pareto curve based on Normal-Boundary Intersection", Structural Optimization 18, eq. 6); scaled as here, it is the
    point that kneedle finds offline (Satopää et al. 2011). A frontier without width or height has no knee: all 0.

    Args:
        values: shape (num_points, 2), (S, G).
        frontier: shape (num_frontier, 2), at least one, ascending in S.
    """
    low, high = (frontier[0, 0], frontier[-1, 1]), (frontier[-1, 0], frontier[0, 1])
    size = np.subtract(high, low)
    if not (size > 0).all():
        return np.zeros(len(values))
    shares: Floats = (values - np.array(low)) / size
    beyond: Floats = (shares.sum(axis=1) - 1) / np.sqrt(2)
    return beyond
