"""Points and a budget of generality -> the one point to take."""

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import SpaceError
from rayforget.frontier.nondominated import check_pairs
from rayforget.frontier.recovered import Pair

_SLACK = 1e-9
"""Tolerance, since scores are ratios of sums: 0.58 - 0.01 must admit 0.57."""


def pick(values: NDArray[np.float64], *, theta_0: Pair, max_loss: float | None) -> int | None:
    """Index of the best speciality among the points that lose at most `max_loss` of generality.

    argmax S over {i : G(theta_0) - G_i <= max_loss}; ties go to the higher G, then to the first in order.

    Args:
        values: shape (num_points, 2), (S, G) on `val`.
        theta_0: (S, G) of the pretrained model, to which the loss is measured.
        max_loss: in score units, 0.01 = one point; None sets no limit; a negative one demands a gain.

    Returns:
        None if no point qualifies.

    Raises:
        SpaceError: `max_loss` is not finite.
        RecordError: a value is NaN or infinite.
    """
    check_pairs(values)
    if max_loss is not None and not np.isfinite(max_loss):
        raise SpaceError(f"max_loss must be finite, got {max_loss}; give None to set no limit")
    floor = -np.inf if max_loss is None else theta_0[1] - max_loss - _SLACK
    allowed = np.flatnonzero(values[:, 1] >= floor)
    if not len(allowed):
        return None
    order = np.lexsort((allowed, -values[allowed, 1], -values[allowed, 0]))
    return int(allowed[order[0]])
