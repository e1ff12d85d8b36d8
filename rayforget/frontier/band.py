"""Resampled points of a frontier -> the band in which its staircase lies, along speciality."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rayforget.frontier.recovered import Pair

TAIL = (2.5, 97.5)
"""Percentiles of the band's edges."""
_NUM_LEVELS = 161


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """The pointwise 95 % band of a frontier: what generality is kept at a level of speciality."""

    speciality: tuple[float, ...]
    """Levels s, ascending."""
    low: tuple[float, ...]
    """Lower edge of G at each level; -inf where more than 2.5 % of the resamples reach no such speciality."""
    high: tuple[float, ...]
    """Upper edge; -inf where even 97.5 % of them do not."""


def attained(values: NDArray[np.float64], levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The staircase of a set of points: the most generality of those with at least this speciality.

        G(s) = max {G_i : S_i >= s}

    Args:
        values: shape (..., num_points, 2).
        levels: shape (num_levels,).

    Returns:
        Shape (..., num_levels); -inf where no point reaches the level.
    """
    reaches = values[..., None, :, 0] >= levels[:, None]
    found: NDArray[np.float64] = np.where(reaches, values[..., None, :, 1], -np.inf).max(axis=-1, initial=-np.inf)
    return found


def band_of(points: NDArray[np.float64], base: NDArray[np.float64], theta_0: Pair) -> Band:
    """The band of chosen points, paired with theta_0: the chance that all models share does not widen it.

    In each resample b the points are moved by what theta_0 itself was moved there, S_i(b) - S_0(b) + S_0 and likewise
    in G. So the band is about how far the frontier lies from theta_0, as the gains and losses of the report are. It is
    of these very points: that they were chosen as the best on the same items is not in it.

    Args:
        points: (S, G) of the chosen points in every resample, shape (num_resamples, num_points, 2).
        base: theta_0's, shape (num_resamples, 2).
        theta_0: its observed (S, G).
    """
    moved = points - base[:, None, :] + np.array(theta_0)
    levels = np.linspace(theta_0[0], float(np.percentile(moved[..., 0].max(axis=1), TAIL[1])), _NUM_LEVELS)
    stairs = np.concatenate([attained(some, levels) for some in np.array_split(moved, max(1, len(moved) // 50))])
    low, high = np.percentile(stairs, TAIL, axis=0, method="inverted_cdf")
    return Band(speciality=tuple(levels.tolist()), low=tuple(low.tolist()), high=tuple(high.tolist()))
