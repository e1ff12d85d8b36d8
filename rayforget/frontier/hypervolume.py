"""(S, G) pairs and a reference -> the area that they dominate above it."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rayforget.frontier.nondominated import check_pairs


def hypervolume(values: NDArray[np.float64], reference: tuple[float, float]) -> float:
    """Area of the union of the rectangles from `reference` to each point; both coordinates are maximised.

    A point that is not above the reference in both coordinates adds nothing. Neither order, nor duplicates, nor
    dominated points change the result (except by rounding).

    Args:
        values: shape (num_points, 2), finite; no points give 0.
        reference: (S, G) of the rectangles' common lower corner, finite.

    Raises:
        RecordError: a value is NaN or infinite.
    """
    check_pairs(values)
    check_pairs(np.array([reference], dtype=np.float64))
    return float(hypervolumes(values, reference))


def hypervolumes(values: NDArray[np.float64], reference: ArrayLike) -> NDArray[np.float64]:
    """`hypervolume` of many sets at once, unchecked.

    With the points in descending S, the area is sum_i (s_i - s_{i+1}) * max_{j <= i} g_j, where s and g are clipped
    at the reference and s after the last point is 0.

    Args:
        values: shape (..., num_points, 2).
        reference: shape (2,) or (..., 2), one per set.

    Returns:
        Shape (...).
    """
    corner = np.asarray(reference, dtype=np.float64)
    if values.shape[-2] == 0:
        return np.zeros(np.broadcast_shapes(values.shape[:-2], corner.shape[:-1]))
    above = np.maximum(values - corner[..., None, :], 0.0)
    order = np.argsort(-above[..., 0], axis=-1)
    special = np.take_along_axis(above[..., 0], order, axis=-1)
    general = np.take_along_axis(above[..., 1], order, axis=-1)
    next_special = np.concatenate((special[..., 1:], np.zeros_like(special[..., :1])), axis=-1)
    area: NDArray[np.float64] = ((special - next_special) * np.maximum.accumulate(general, axis=-1)).sum(axis=-1)
    return area
