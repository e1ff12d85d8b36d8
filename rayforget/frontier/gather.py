"""The record's objects -> points, their `val` scores, and how many trainings of each method failed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rayforget.frontier.points import THETA_0, FrontierPoint, PointKey, TaskRole, trade_offs
from rayforget.frontier.recovered import Pair
from rayforget.values.brief import AnyCheckpoint
from rayforget.values.points import Point
from rayforget.values.records import CheckpointRecord
from rayforget.values.scores import Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """The input of `compare.summarise`, from the record."""

    points: tuple[FrontierPoint, ...]
    val: Mapping[PointKey, Mapping[str, Score]]
    """Their scores with items; points that came from briefs are missing (`on_demand` reads them)."""
    failed: Mapping[str, int]
    """Method -> number of trainings that failed before they had a point."""


def gather(records: Iterable[AnyCheckpoint], roles: Sequence[TaskRole]) -> Gathered:
    """Every point of every successful checkpoint; theta_0's own record is the one without a recipe.

    Raises:
        RecordError: a point has no score for a task of `roles`.
    """
    points: list[FrontierPoint] = []
    val: dict[PointKey, Mapping[str, Score]] = {}
    failed: dict[str, str] = {}
    for record in records:
        if record.status == "failed":
            failed[record.trial] = _method(record)
            continue
        pairs = _pairs(record, roles)
        measured: Sequence[Point[Any]] = record.points
        points += [_point(record, one, values, pair) for one, (values, pair) in zip(measured, pairs, strict=True)]
        if isinstance(record, CheckpointRecord):
            val |= {PointKey(record.trial, record.step, *one.spot): one.scores for one in record.points}
    trials = {point.trial for point in points}
    lost = Counter(method for trial, method in sorted(failed.items()) if trial not in trials)
    return Gathered(points=tuple(points), val=val, failed=dict(lost))


def _pairs(record: AnyCheckpoint, roles: Sequence[TaskRole]) -> list[tuple[dict[str, float], Pair]]:
    """Each point's scores by task, and its (S, G)."""
    values = [{task: score.value for task, score in measured.scores.items()} for measured in record.points]
    return list(zip(values, trade_offs(values, roles), strict=True))


def _point(record: AnyCheckpoint, measured: Point[Any], values: Mapping[str, float], pair: Pair) -> FrontierPoint:
    return FrontierPoint(
        trial=record.trial,
        step=record.step,
        alpha=measured.alpha,
        path=measured.path,
        fraction=record.fraction,
        method=_method(record),
        coarse=measured.coarse,
        speciality=pair[0],
        generality=pair[1],
        tasks=values,
        recipe=record.recipe,
    )


def _method(record: AnyCheckpoint) -> str:
    return str(record.recipe["method"]) if record.recipe else THETA_0
