"""The record's objects -> points, their `val` scores, and how many trainings of each method failed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rayforget.frontier.points import THETA_0, FrontierPoint, PointKey, TaskRole, trade_offs
from rayforget.frontier.recovered import Pair
from rayforget.values.brief import AnyCheckpoint
from rayforget.values.points import Point
from rayforget.values.records import CheckpointRecord
from rayforget.values.scores import Score, ScoreBrief


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """The input of `compare.summarise`, from the record."""

    points: tuple[FrontierPoint, ...]
    val: Mapping[PointKey, Mapping[str, Score]]
    """Their scores with items; points that came from briefs are missing (`on_demand` reads them)."""
    failed: Mapping[str, int]
    """Method -> number of trainings that failed before they had a point."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """The same methods -> the first line of why the first of them failed."""


def gather(records: Iterable[AnyCheckpoint], roles: Sequence[TaskRole]) -> Gathered:
    """Every point of every successful checkpoint; theta_0's own record is the one without a recipe.

    Raises:
        RecordError: a point has no score for a task of `roles`.
    """
    points: list[FrontierPoint] = []
    val: dict[PointKey, Mapping[str, Score]] = {}
    failed: dict[str, AnyCheckpoint] = {}
    for record in records:
        if record.status == "failed":
            failed[record.trial] = record
            continue
        pairs = enumerate(_pairs(record, roles))
        points += [_point(record, record.points[place], *pair) for place, pair in pairs]
        if isinstance(record, CheckpointRecord):
            val |= {PointKey(record.trial, record.step, *measured.spot): measured.scores for measured in record.points}
    trials = {point.trial for point in points}
    lost = [record for trial, record in sorted(failed.items()) if trial not in trials]
    reasons = {_method(record): (record.reason or "").split("\n", 1)[0] for record in reversed(lost)}
    return Gathered(points=tuple(points), val=val, failed=dict(Counter(map(_method, lost))), reasons=reasons)


def _pairs(record: AnyCheckpoint, roles: Sequence[TaskRole]) -> list[tuple[dict[str, float], Pair]]:
    """Each point's scores by task, and its (S, G)."""
    values = [{task: score.value for task, score in measured.scores.items()} for measured in record.points]
    return list(zip(values, trade_offs(values, roles), strict=True))


def _point(
    record: AnyCheckpoint, measured: Point[Score] | Point[ScoreBrief], values: Mapping[str, float], pair: Pair
) -> FrontierPoint:
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
