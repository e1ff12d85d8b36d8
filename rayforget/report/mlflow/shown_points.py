"""A sweep's points -> at most a hundred of them to compare in MLflow, and why each of them is shown."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from rayforget.frontier.points import PLAIN, THETA_0, FrontierPoint, PointKey
from rayforget.frontier.recovered import Pair
from rayforget.report.method_styles import INK
from rayforget.space.path_text import LERP

MAX_POINTS = 100
"""MLflow's page loads a hundred runs at a time."""

Place = Literal["frontier", "baseline", "training"]
"""On the frontier; theta_0 or a plain training's end; another training's end, without interpolation."""

COLORS: Mapping[Place, str] = {"frontier": "#D55E00", "baseline": INK, "training": "#B8C2CC"}
"""Place -> #rrggbb of its marks in MLflow's charts."""


def shown_points(
    points: Sequence[FrontierPoint], frontier: Sequence[PointKey], *, picked: PointKey | None = None
) -> dict[PointKey, Place]:
    """The baselines and the frontier, and beside them as many ends of trainings as there is room for.

    What is too much is thinned out evenly along the speciality, keeping both ends and the picked point. A point of the
    frontier that is a baseline or an end too counts as the frontier's. A training that ended far below the baselines is
    left out: MLflow's charts would shrink all others into a corner.
    """
    values = {point.key: point for point in points}
    ends = [point.key for point in points if _is_end(point)]
    baselines = [key for key in ends if values[key].method in (PLAIN, THETA_0)]
    on_frontier = set(frontier)
    places: dict[PointKey, Place] = {
        key: "frontier" if key in on_frontier else "baseline" for key in _thin_out(baselines, values, MAX_POINTS // 2)
    }
    if picked is not None and picked in on_frontier:
        places |= {picked: "frontier"}
    rest = [key for key in frontier if key not in places]
    places |= dict.fromkeys(_thin_out(rest, values, MAX_POINTS - len(places)), "frontier")
    low = _lowest([values[key] for key in baselines])
    others = [
        key
        for key in ends
        if key not in on_frontier
        and values[key].method not in (PLAIN, THETA_0)
        and values[key].speciality >= low[0]
        and values[key].generality >= low[1]
    ]
    return places | dict.fromkeys(_thin_out(others, values, MAX_POINTS - len(places)), "training")


def _lowest(baselines: Sequence[FrontierPoint]) -> Pair:
    """As far below the baselines as they lie apart, in speciality and in generality; no bound if one is missing."""
    pairs = np.array([(point.speciality, point.generality) for point in baselines]).reshape(-1, 2)
    if len({point.method for point in baselines}) < 2:
        return (-np.inf, -np.inf)
    low_s, low_g = 2 * pairs.min(axis=0) - pairs.max(axis=0)
    return (float(low_s), float(low_g))


def _is_end(point: FrontierPoint) -> bool:
    """Whether it is theta_0, or a whole training without interpolation."""
    return point.method == THETA_0 or (point.fraction == 1 and point.alpha == 1 and point.path == LERP)


def _thin_out(keys: Sequence[PointKey], values: Mapping[PointKey, FrontierPoint], room: int) -> list[PointKey]:
    ordered = sorted(keys, key=lambda key: (values[key].speciality, key.order))
    if len(ordered) <= room:
        return ordered
    return [ordered[i] for i in np.linspace(0, len(ordered) - 1, room).round().astype(int)]
