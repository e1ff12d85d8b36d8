"""A checkpoint's record -> what is kept of it in memory: scores as numbers, without the items behind them.

A record of 15 points on 10,000 items takes hundreds of kilobytes, its brief a few: a driver holds all of a sweep's
briefs, and reads items again where models are paired (`rayforget.frontier.on_demand`).
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rayforget.values.points import Point
from rayforget.values.records import CheckpointRecord
from rayforget.values.scores import ScoreBrief


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointBrief:
    """A `CheckpointRecord` without items, names of tensors and provenance; see there for the fields."""

    trial: str
    step: int
    fraction: float
    status: Literal["ok", "failed"]
    reason: str | None
    theta_1_hash: str | None
    recipe: Mapping[str, Any]
    points: tuple[Point[ScoreBrief], ...]
    seconds: Mapping[str, float]
    facts: Mapping[str, Any]
    finished: float

    @property
    def key(self) -> str:
        """`trial-step`, the name of the record's file."""
        return f"{self.trial}-{self.step:06d}"


AnyCheckpoint = CheckpointRecord | CheckpointBrief
"""For code that reads no items."""


def brief_of(record: CheckpointRecord) -> CheckpointBrief:
    """The record's brief, with the record's own numbers."""
    return CheckpointBrief(
        trial=record.trial,
        step=record.step,
        fraction=record.fraction,
        status=record.status,
        reason=record.reason,
        theta_1_hash=record.theta_1_hash,
        recipe=record.recipe,
        points=tuple(
            Point(
                alpha=point.alpha,
                path=sys.intern(point.path),
                coarse=point.coarse,
                scores={sys.intern(task): score.brief for task, score in point.scores.items()},
            )
            for point in record.points
        ),
        seconds=record.seconds,
        facts=record.facts,
        finished=record.finished,
    )
