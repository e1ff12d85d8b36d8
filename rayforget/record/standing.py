"""A sweep's record -> how far the sweep is: trainings done, failed and unfinished, and what has no `test` score."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rayforget.errors import RecordError
from rayforget.frontier.choose import points_to_report
from rayforget.frontier.gather import Gathered
from rayforget.frontier.points import THETA_0, PointKey, TaskRole
from rayforget.values.brief import AnyCheckpoint
from rayforget.values.records import TestRecord

if TYPE_CHECKING:
    from rayforget.record.sweep import Sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a sweep is, from its record alone."""

    total: int
    """Trainings of the whole sweep, the baselines' included."""
    done: tuple[str, ...]
    """Trainings that came to their end, sorted."""
    failed: Mapping[str, AnyCheckpoint]
    """Failed training -> the record that says why."""
    unfinished: Mapping[str, float]
    """Training that was handed out and did not end -> the largest fraction of it that is recorded, 0 for none."""
    num_points: int
    """Points on `val`."""
    reported: int
    """Points that the report wants on `test`, of those that are known now."""
    untested: tuple[PointKey, ...]
    """Those of them that have no `test` score."""
    report_is_stale: bool
    """Whether points were scored on `test` for a report, more trainings were asked for since or records were deleted,
    and the trainings, or the scores on `test` that they ask for, are not all there."""
    records_lost: bool
    """Of a stale report: whether it is stale since records were deleted, not since the budget grew."""
    last_record: float | None
    """Unix time at which the newest checkpoint was recorded; None before the first."""

    @property
    def finished(self) -> bool:
        """Whether every training ended, good or bad, and the report is complete."""
        ended = len(self.done) + len(self.failed)
        return ended >= self.total and not self.unfinished and not self.untested


def is_finished(records: Iterable[AnyCheckpoint]) -> bool:
    """Whether the trial with these records came to its end: it failed, or its last checkpoint is recorded."""
    return any(record.status == "failed" or record.fraction == 1 for record in records)


def order_of_finish(records: Iterable[AnyCheckpoint], *, before: float | None = None) -> list[str]:
    """The trainings that ended, as they ended: an order that a resumed sweep only adds to.

    Args:
        records: of any trials.
        before: Unix time; only what ended before counts. A record reaches the driver a moment after it was made, so
            that the order of the last few seconds may not be complete yet.
    """
    trials: dict[str, list[AnyCheckpoint]] = {}
    for record in records:
        if record.recipe:
            trials.setdefault(record.trial, []).append(record)
    ends = sorted((max(record.finished for record in of), name) for name, of in trials.items() if is_finished(of))
    return [name for end, name in ends if before is None or end < before]


def roles_of(sweep: "Sweep") -> tuple[TaskRole, ...]:
    """What each task counts for, read off the resolved space without building its models: quick to import and run."""
    with _reading_space(sweep):
        tasks = json.loads(sweep.space_json())["tasks"].items()
        return tuple(TaskRole(name=name, role=task["role"], group=task.get("group") or "") for name, task in tasks)


def trainings_of(sweep: "Sweep") -> int:
    """Trainings of the whole sweep, the baselines' included; its budget is the largest it was ever given."""
    first, seeds = _budget_and_seeds(sweep)
    return max([first, *sweep.budgets()]) + seeds


def _budget_and_seeds(sweep: "Sweep") -> tuple[int, int]:
    """The budget that the sweep was started with, and the baselines'."""
    with _reading_space(sweep):
        space = json.loads(sweep.space_json())
        return int(space["search"]["trainings"]), int(space["plain"]["seeds"])


@contextmanager
def _reading_space(sweep: "Sweep") -> Iterator[None]:
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise RecordError(f"{sweep.store}/space.json is damaged ({reason}); restore it from a copy") from error


def standing_of(sweep: "Sweep", records: Sequence[AnyCheckpoint], gathered: Gathered) -> Standing:
    """How far a sweep is.

    Args:
        sweep: where it is recorded.
        records: all its records.
        gathered: their points.

    Raises:
        RecordError: a file of the record is damaged.
    """
    trials: dict[str, list[AnyCheckpoint]] = {}
    for record in records:
        if record.recipe:
            trials.setdefault(record.trial, []).append(record)
    handed_out = {name.removesuffix(".json") for name in sweep.store.json_files("asked")} | trials.keys()
    failed = {name: found[0] for name, of in trials.items() if (found := [r for r in of if r.status == "failed"])}
    done = {name for name, of in trials.items() if name not in failed and is_finished(of)}
    tests = sweep.tests()
    tested = {PointKey(record.trial, record.step, *spot) for record in tests for spot in record.scores}
    wanted = [gathered.points[i].key for i in points_to_report(gathered.points)]
    standing = Standing(
        total=trainings_of(sweep),
        done=tuple(sorted(done)),
        failed=dict(sorted(failed.items())),
        unfinished={
            name: max((record.fraction for record in trials.get(name, [])), default=0.0)
            for name in sorted(handed_out - done - failed.keys())
        },
        num_points=len(gathered.points),
        reported=len(wanted),
        untested=tuple(key for key in wanted if key not in tested),
        report_is_stale=False,
        records_lost=False,
        last_record=max((record.finished for record in records if record.finished), default=None),
    )
    if not _is_stale(standing, tests):
        return standing
    grown = standing.total > sum(_budget_and_seeds(sweep))
    lost = {record.trial for record in tests} - {THETA_0} - done - failed.keys()
    return replace(standing, report_is_stale=True, records_lost=bool(lost) or not grown)


def _is_stale(standing: Standing, tests: Sequence[TestRecord]) -> bool:
    """Nothing is scored on `test` before the last training of the budget has ended: what came later is a larger one."""
    if not tests or standing.finished:
        return False
    first = min(record.finished for record in tests)
    ended = len(standing.done) + len(standing.failed)
    return ended < standing.total or (standing.last_record is not None and standing.last_record > first)
