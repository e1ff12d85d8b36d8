"""A summary -> the part of the plane that a drawing shows."""

from dataclasses import dataclass

import numpy as np

from rayforget.frontier.summary import Summary

_LEAST_EXTENT = 6.0
"""Percent that either axis spans at least, so that the scale of a lone point is not that of its rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """Limits of both axes in percent."""

    left: float
    right: float
    bottom: float
    top: float
    outside: int
    """Number of points beyond the limits."""


def frame_points(summary: Summary, this: int | None = None) -> Frame:
    """A frame that holds the frontier, the baselines, the point `this` and most points, so that a few ruined trainings
    do not squeeze the rest.

    A side moves outwards from frontier and baselines to the 2nd or 98th percentile of all points, by at most a third of
    the extent of frontier and baselines themselves.
    """
    points = 100 * np.array([(point.speciality, point.generality) for point in summary.points])
    models = [*summary.frontier, *summary.theta_0.points, *(summary.plain.points if summary.plain else ())]
    models += [] if this is None else [this]
    core = points[models]
    low, high = core.min(axis=0), core.max(axis=0)
    extent = np.maximum(high - low, 1.0)
    low = np.maximum(np.minimum(low, np.percentile(points, 2, axis=0)), low - extent / 3)
    high = np.minimum(np.maximum(high, np.percentile(points, 98, axis=0)), high + extent / 3)
    margin = 0.06 * np.maximum(high - low, _LEAST_EXTENT) + 0.3
    low, high = low - margin * (1, 1.6), high + margin * (1, 2)  # labels stand below and above
    lack = np.maximum(_LEAST_EXTENT - (high - low), 0.0) / 2
    low, high = low - lack, high + lack
    outside = int(((points < low) | (points > high)).any(axis=1).sum())
    (left, bottom), (right, top) = low.tolist(), high.tolist()
    return Frame(left=left, right=right, bottom=bottom, top=top, outside=outside)
