"""(S, G) pairs -> which of them no other pair dominates."""

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import RecordError


def nondominated(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points are on the frontier, in O(n log n); both coordinates are maximised.

    A point is off the frontier if another one is at least as good in both coordinates and better in one. Of exact
    duplicates only the first is on it, so callers order points by (trial, step, alpha).

    Args:
        values: shape (num_points, 2), finite.

    Returns:
        Shape (num_points,).

    Raises:
        RecordError: a value is NaN or infinite.
    """
    check_pairs(values)
    order = np.lexsort((np.arange(len(values)), -values[:, 1], -values[:, 0]))
    general = values[order, 1]
    best_before = np.concatenate(([-np.inf], np.maximum.accumulate(general)))[: len(general)]
    mask = np.zeros(len(values), dtype=np.bool_)
    mask[order] = general > best_before
    return mask


def check_pairs(values: NDArray[np.float64]) -> None:
    """Raises RecordError unless `values` has shape (num_points, 2) and only finite numbers."""
    if values.ndim != 2 or values.shape[1] != 2:
        raise RecordError(f"points must have shape (num_points, 2), got {values.shape}")
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise RecordError(
            f"point {bad[0]} is {tuple(values[bad[0]].tolist())} ({len(bad)} of {len(values)} are not finite); "
            "a frontier needs finite scores: leave failed points out"
        )
