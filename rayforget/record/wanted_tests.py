"""Points, and what is scored on `test` -> what a report still wants to be scored there."""

from collections.abc import Collection, Sequence

from rayforget.frontier.choose import points_to_report
from rayforget.frontier.points import FrontierPoint, PointKey
from rayforget.record.jobs import TestJob
from rayforget.values.points import Spot


def wanted_tests(points: Sequence[FrontierPoint], tested: Collection[PointKey]) -> list[TestJob]:
    """One job for each checkpoint with chosen points (`points_to_report`) that lack a `test` score, sorted."""
    wanted: dict[tuple[str, int], list[Spot]] = {}
    for index in points_to_report(points):
        point = points[index]
        if point.key not in tested:
            wanted.setdefault((point.trial, point.step), []).append(Spot(point.alpha, point.path))
    return [
        TestJob(trial=trial, step=step, spots=tuple(sorted(spots, key=lambda spot: spot.order)))
        for (trial, step), spots in sorted(wanted.items())
    ]
