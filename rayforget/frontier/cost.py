"""The record's seconds and the points -> what each training took and recovers, and the sweep as it went on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rayforget.frontier.nondominated import nondominated
from rayforget.frontier.points import THETA_0, FrontierPoint
from rayforget.frontier.recovered import recovered
from rayforget.frontier.summary import Summary
from rayforget.values.brief import AnyCheckpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCost:
    """One training."""

    trial: str
    method: str
    seconds: float
    """Wall seconds of training up to its last checkpoint; scoring is not in it."""
    recovered: float | None
    """What its own points recover alone on `val`; None while recovered is undefined or not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepCost:
    """All trainings whose seconds are recorded."""

    trainings: tuple[TrainingCost, ...]
    """By name."""
    progress: tuple[tuple[float, float], ...]
    """(seconds of training so far, recovered on `val` so far) after each training, in the order in which they ended."""


def train_seconds(records: Iterable[AnyCheckpoint]) -> dict[str, float]:
    """Trial -> wall seconds of its training; a checkpoint's count from the training's start, so the largest counts."""
    found: dict[str, float] = {}
    for record in records:
        if record.recipe and "train" in record.seconds:
            found[record.trial] = max(found.get(record.trial, 0.0), float(record.seconds["train"]))
    return found


def slot_seconds(records: Iterable[AnyCheckpoint]) -> float:
    """Wall seconds that trainings took of their slots, with scoring on `val` and saving.

    What a training did before it failed or was interrupted without a checkpoint is in no record, and not in the sum.
    """
    records = [record for record in records if record.recipe]
    other = sum(record.seconds.get(stage, 0.0) for record in records for stage in ("evaluate", "save"))
    return sum(train_seconds(records).values()) + other


def cost_of(
    summary: Summary, seconds: Mapping[str, float], *, order: Sequence[str], series: Sequence[tuple[int, float]]
) -> SweepCost:
    """What the sweep's trainings took, and what they recover.

    Args:
        summary: the report.
        seconds: trial -> seconds (`train_seconds`); trials without it are left out.
        order: the trials that ended, in the order in which they did.
        series: (number of trials that ended with points, recovered on `val`), as `progress.recovered_so_far` counts.
    """
    own: dict[str, list[FrontierPoint]] = {}
    for point in summary.points:
        if point.method != THETA_0 and not point.is_copy_of_theta_0:
            own.setdefault(point.trial, []).append(point)
    trainings = tuple(
        TrainingCost(trial=trial, method=points[0].method, seconds=seconds[trial], recovered=_alone(summary, points))
        for trial, points in sorted(own.items())
        if trial in seconds
    )
    with_points = [trial for trial in order if trial in own]
    spent = np.cumsum([seconds.get(trial, 0.0) for trial in with_points])
    progress = tuple((float(spent[count - 1]), value) for count, value in series)
    return SweepCost(trainings=trainings, progress=progress if spent.size and spent[-1] > 0 else ())


def _alone(summary: Summary, points: Sequence[FrontierPoint]) -> float | None:
    if summary.plain is None:
        return None
    values = np.array([(point.speciality, point.generality) for point in points])
    errors = summary.plain.val.difference_errors or (0.0, 0.0)
    base, tuned = summary.theta_0.val.pair, summary.plain.val.pair
    return recovered(values[nondominated(values)], theta_0=base, plain=tuned, errors=errors).value
