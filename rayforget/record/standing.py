"""A sweep's record -> its progress: trainings done, failed and unfinished, and points without a `test` score."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rayforget.errors import RecordError
from rayforget.frontier.choose import points_to_report
from rayforget.frontier.gather import Gathered
from rayforget.frontier.points import THETA_0, PointKey, TaskRole
from rayforget.record.gpu_budget import GpuBudget, budget_of, noted_gpu_hours
from rayforget.record.jobs import NotedJobs
from rayforget.values.brief import AnyCheckpoint
from rayforget.values.records import TestRecord

if TYPE_CHECKING:
    from rayforget.record.sweep import Sweep


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A sweep's progress, from its record alone."""

    given: bool
    """Whether models that were given, and their soups, take the place of trainings."""
    total: int
    """Trainings of the whole sweep, including the baselines."""
    done: tuple[str, ...]
    """Trainings that ended well, sorted."""
    failed: Mapping[str, AnyCheckpoint]
    """Failed training -> the record that says why."""
    unfinished: Mapping[str, float]
    """Training that was handed out and did not end -> its largest recorded fraction, 0 for none."""
    num_points: int
    """Number of points on `val`."""
    reported: int
    """Number of known points that the report wants on `test`."""
    untested: tuple[PointKey, ...]
    """Those points that have no `test` score."""
    gpu_budget: GpuBudget | None = None
    """The GPU hours that the sweep may take and took, if they are limited."""
    report_is_stale: bool
    """Whether points were scored on `test` for a report, and since then more trainings were asked for or records were
    deleted, and the trainings, or the scores on `test` that they need, are not complete."""
    records_lost: bool
    """For a stale report: whether the cause is deleted records rather than a larger budget or second tries."""
    tried_again: bool = False
    """For a stale report: whether failed trainings were set aside, to be tried again."""
    last_record: float | None
    """Unix time of the newest checkpoint's record; None before the first."""

    @property
    def out_of_budget(self) -> bool:
        """Whether trainings are left that no longer may begin, since the GPU hours are used up."""
        left = len(self.done) + len(self.failed) < self.total
        return left and self.gpu_budget is not None and self.gpu_budget.used_up

    @property
    def finished(self) -> bool:
        """Whether every training ended, well or not, or the budget did, and the report is complete."""
        ended = len(self.done) + len(self.failed) >= self.total and not self.unfinished
        return (ended or self.out_of_budget) and not self.untested


def is_finished(records: Iterable[AnyCheckpoint]) -> bool:
    """Whether the trial with these records ended: it failed, or its last checkpoint is recorded."""
    return any(record.status == "failed" or record.fraction == 1 for record in records)


def order_of_finish(records: Iterable[AnyCheckpoint], *, before: float | None = None) -> list[str]:
    """The trainings that ended, in the order in which they did, which a resumed sweep only extends.

    Args:
        records: of any trials.
        before: Unix time; only what ended before counts. A record reaches the driver a moment after it was made, so the
            order of the last few seconds may be incomplete.
    """
    trials: dict[str, list[AnyCheckpoint]] = {}
    for record in records:
        if record.recipe:
            trials.setdefault(record.trial, []).append(record)
    ends = sorted((max(record.finished for record in of), name) for name, of in trials.items() if is_finished(of))
    return [name for end, name in ends if before is None or end < before]


def roles_of(sweep: "Sweep") -> tuple[TaskRole, ...]:
    """Each task's role, read from the resolved space without building its models: fast, with few imports."""
    with _reading_space(sweep):
        tasks = json.loads(sweep.space_json())["tasks"].items()
        return tuple(
            TaskRole(name=name, role=task["role"], group=task.get("group") or "")
            for name, task in tasks
            if not task.get("train") or any(task.get(split) for split in ("val", "test", "cut"))
        )


def trainings_of(sweep: "Sweep") -> int:
    """Trainings of the whole sweep, including the baselines; its budget is the largest it was ever given."""
    first, seeds = _budget_and_seeds(sweep)
    return max([first, *sweep.budgets()]) + seeds


def are_given(sweep: "Sweep") -> bool:
    """Whether the sweep scores models that were given and trains none."""
    with _reading_space(sweep):
        return "models" in json.loads(sweep.space_json())


def _budget_and_seeds(sweep: "Sweep") -> tuple[int, int]:
    """The budget that the sweep was started with, and the number of the baselines' seeds."""
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
    """A sweep's progress.

    Args:
        sweep: the sweep.
        records: all its records.
        gathered: their points.

    Raises:
        RecordError: a file of the record is damaged.
    """
    trials: dict[str, list[AnyCheckpoint]] = {}
    for record in records:
        if record.recipe:
            trials.setdefault(record.trial, []).append(record)
    noted = {name.removesuffix(".json") for name in sweep.store.json_files("asked")}
    failed = {name: found[0] for name, of in trials.items() if (found := [r for r in of if r.status == "failed"])}
    done = {name for name, of in trials.items() if name not in failed and is_finished(of)}
    notes = NotedJobs(sweep.store)
    for name in sorted(noted - done - failed.keys()):
        notes.check(name)  # tells what would keep the sweep from going on
    tests = sweep.tests()
    tested = {PointKey(record.trial, record.step, *spot) for record in tests for spot in record.scores}
    wanted = [gathered.points[i].key for i in points_to_report(gathered.points)]
    standing = Standing(
        given=are_given(sweep),
        total=trainings_of(sweep),
        done=tuple(sorted(done)),
        failed=dict(sorted(failed.items())),
        unfinished={
            name: max((record.fraction for record in trials.get(name, [])), default=0.0)
            for name in sorted((noted | trials.keys()) - done - failed.keys())
        },
        num_points=len(gathered.points),
        reported=len(wanted),
        untested=tuple(key for key in wanted if key not in tested),
        gpu_budget=_gpu_budget(sweep, records),
        report_is_stale=False,
        records_lost=False,
        last_record=max((record.finished for record in records if record.finished), default=None),
    )
    if not _is_stale(standing, tests):
        return standing
    ended = done | failed.keys()
    begun_anew = {name.rsplit("-", 2)[0] for name in sweep.store.json_files("failed")}
    grown = standing.total > sum(_budget_and_seeds(sweep)) or len(noted_gpu_hours(sweep)) > 1
    lost = bool({record.trial for record in tests} - {THETA_0} - ended)
    if not grown:  # then only a second try explains a training that is missing, or newer than the first report
        first = min(record.finished for record in tests)
        newer = {name for name in ended if max(record.finished for record in trials[name]) > first}
        missing = standing.total - len(ended) - len(begun_anew - ended)
        lost = lost or missing > 0 or bool(newer - begun_anew) or not begun_anew
    return replace(
        standing, report_is_stale=True, records_lost=lost, tried_again=bool(begun_anew) and not (grown or lost)
    )


def _gpu_budget(sweep: "Sweep", records: Sequence[AnyCheckpoint]) -> GpuBudget | None:
    with _reading_space(sweep):
        return budget_of(sweep, records)


def _is_stale(standing: Standing, tests: Sequence[TestRecord]) -> bool:
    """`test` is scored only after the budget's last training, so a missing or newer training means a change since."""
    if not tests or standing.finished:
        return False
    first = min(record.finished for record in tests)
    ended = len(standing.done) + len(standing.failed)
    short = ended < standing.total and not standing.out_of_budget
    return short or (standing.last_record is not None and standing.last_record > first)
