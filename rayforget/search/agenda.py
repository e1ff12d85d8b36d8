"""Which job comes next: the baselines, trainings left unfinished, what the study asks for, then the test scores.

The agenda belongs to the driver. What it hands out is written down first, so that a new driver finds the trainings
that were under way; what comes back is read from the record.
"""

import logging
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from rayforget.frontier.choose import choose_frontier, points_to_report
from rayforget.frontier.gather import Gathered, gather
from rayforget.frontier.points import PLAIN, THETA_0, task_roles
from rayforget.record.jobs import TestJob, TrialJob, load_asked, save_asked
from rayforget.record.standing import is_finished
from rayforget.record.sweep import Sweep
from rayforget.record.types import CheckpointRecord
from rayforget.search.study import Asked, CurvePoint, CurveStudy
from rayforget.space.methods import methods_of, plain_of
from rayforget.space.models import Space
from rayforget.space.recipe import Recipe

logger = logging.getLogger(__name__)
_GIVE_UP_AFTER = 3
"""Trainings that fail before any succeeds: then something is wrong with the space, not with a recipe."""


class Next(Enum):
    """What the agenda says when it has no job."""

    WAIT = "wait"
    """Nothing to do until a running job is done."""
    FINISHED = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedJob:
    """A job and the name under which it is reported."""

    name: str
    job: TrialJob | tuple[TestJob, ...]

    @property
    def words(self) -> str:
        """What it is, for people."""
        return self.name if isinstance(self.job, TrialJob) else f"scores on test ({self.name})"


class Agenda:
    """The order of a sweep's work, and what is known so far; made anew from the record on resume."""

    def __init__(self, space: Space, sweep: Sweep, study: CurveStudy) -> None:
        self.space, self.sweep, self.study = space, sweep, study
        self.roles = task_roles(space)
        self._methods = {method.name: method for method in methods_of(space)}
        self.records: dict[str, list[CheckpointRecord]] = {}
        self.running: dict[str, NamedJob] = {}
        self.halted: str | None = None
        """Why no more jobs are handed out, before the end."""
        self._gathered: dict[str, tuple[int, Gathered]] = {}
        self._waiting: deque[TrialJob] = deque()
        self._num_asked = 0
        self._tests: deque[NamedJob] | None = None
        self._replay()
        self._failed_before = frozenset(self.failures())
        handed_out = {job.recipe.seed for job in self._handed_out.values() if job.recipe.method == PLAIN}
        for seed in sorted(set(range(space.plain.seeds)) - handed_out):
            recipe = plain_of(space).recipe({}, seed=seed)
            self._waiting.append(self._new_job(PLAIN, TrialJob(name="", recipe=recipe)))

    @property
    def num_trainings(self) -> int:
        """Trainings of the whole sweep, the baselines' included."""
        return self.space.search.trainings + self.space.plain.seeds

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return (
            not self.running
            and self.halted is None
            and ((self._tests is not None and not self._tests) or self._hopeless())
        )

    def settle(self) -> bool:
        """Whether a resumed sweep has nothing left to do: known before anything is started for it."""
        trained = not self.running and not self._waiting and self._num_asked >= self.space.search.trainings
        if trained and self._tests is None and not self._hopeless():
            self._tests = deque(self._plan_tests())
        return self.finished

    def next(self) -> NamedJob | Next:
        """The next job, or why there is none."""
        if self.halted is not None or self._hopeless():
            return Next.WAIT if self.running else Next.FINISHED
        if self._waiting:
            return self._start(self._waiting.popleft())
        if self._num_asked < self.space.search.trainings:
            return self._start(self._ask())
        if self.running and self._tests is None:
            return Next.WAIT
        if self._tests is None:
            self._tests = deque(self._plan_tests())
        if self._tests:
            named = self._tests.popleft()
            self.running[named.name] = named
            return named
        return Next.WAIT if self.running else Next.FINISHED

    def done(self, name: str, steps: Sequence[int]) -> None:
        """Takes a finished job's result from the record: the trial's `steps`, or a test's scores."""
        named = self.running.pop(name)
        if isinstance(named.job, TrialJob):
            self._take(named.job, [self.sweep.record(name, step) for step in steps])

    def halt(self, name: str, reason: str) -> None:
        """Hands out nothing more: a job came back that says nothing of itself but that something else is wrong."""
        self.running.pop(name, None)
        self.halted = reason

    def gathered(self) -> Gathered:
        """Every point so far with its scores; a trial's items are summed once."""
        parts = [self._gathered_of(name) for name in sorted(self.records)]
        return Gathered(
            points=tuple(point for part in parts for point in part.points),
            val={key: scores for part in parts for key, scores in part.val.items()},
            failed=dict(sum((Counter(part.failed) for part in parts), Counter())),
        )

    def failures(self) -> dict[str, str]:
        """Failed trial -> the first line of its reason."""
        return {
            name: (record.reason or "").split("\n", 1)[0]
            for name, records in sorted(self.records.items())
            for record in records
            if record.status == "failed"
        }

    def finished_trainings(self) -> int:
        """Trainings that are done or have failed."""
        return sum(is_finished(records) for name, records in self.records.items() if name in self._handed_out)

    def _gathered_of(self, name: str) -> Gathered:
        records = self.records[name]
        known = self._gathered.get(name)
        if known is None or known[0] != len(records):
            known = self._gathered[name] = (len(records), gather(records, self.roles))
        return known[1]

    def _replay(self) -> None:
        """Reads the record: the study is asked and told again, in the order of the asks; what is unfinished waits."""
        self._handed_out: dict[str, TrialJob] = load_asked(self.sweep.store)
        for record in self.sweep.records():
            self.records.setdefault(record.trial, []).append(record)
        for name, job in sorted(self._handed_out.items(), key=lambda entry: _number(entry[0])):
            searched, ended = job.recipe.method != PLAIN, is_finished(self.records.get(name, []))
            if searched:
                self._num_asked += 1
                self.study.ask_again(_number(name), _asked(job))
            if searched and ended:
                self._tell(job, self.records[name])
            if not ended:
                self._waiting.append(job)

    def _ask(self) -> TrialJob:
        asked = self.study.ask(len(self._handed_out))
        recipe = self._unseen(self._methods[asked.method].recipe(asked.values, seed=asked.seed))
        self._num_asked += 1
        return self._new_job(
            asked.method,
            TrialJob(
                name="",
                recipe=recipe,
                fraction=asked.fraction,
                alpha=asked.alpha,
                asked=asked.params,
                frontier=self._frontier(),
            ),
        )

    def _unseen(self, recipe: Recipe) -> Recipe:
        """The recipe with the next seed under which it was not trained yet: equal trainings give equal weights."""
        known = {job.recipe.key for job in self._handed_out.values()}
        while recipe.key in known:
            recipe = recipe.model_copy(update={"seed": recipe.seed + 1})
        return recipe

    def _next_name_of(self, method: str) -> str:
        return f"{len(self._handed_out):04d}-{method}"

    def _new_job(self, method: str, job: TrialJob) -> TrialJob:
        job = replace(job, name=self._next_name_of(method))
        save_asked(self.sweep.store, job)
        self._handed_out[job.name] = job
        return job

    def _start(self, job: TrialJob) -> NamedJob:
        named = NamedJob(name=job.name, job=job)
        self.running[job.name] = named
        return named

    def _take(self, job: TrialJob, records: list[CheckpointRecord]) -> None:
        self.records[job.name] = sorted(records, key=lambda record: record.step)
        self._gathered.pop(job.name, None)
        if THETA_0 not in self.records and self.sweep.has(THETA_0, 0):
            self.records[THETA_0] = [self.sweep.record(THETA_0, 0)]
        if job.recipe.method != PLAIN:
            self._tell(job, self.records[job.name])

    def _tell(self, job: TrialJob, records: Sequence[CheckpointRecord]) -> None:
        """Tells the study of a trial that ended."""
        if any(record.status == "failed" for record in records):
            self.study.fail(_number(job.name))
            return
        curve = [
            CurvePoint(
                step=point.step,
                fraction=point.fraction,
                alpha=point.alpha,
                speciality=point.speciality,
                generality=point.generality,
            )
            for point in gather(records, self.roles).points
        ]
        self.study.tell(_number(job.name), _asked(job), curve)

    def _frontier(self) -> tuple[tuple[float, float], ...]:
        points = self.gathered().points
        return tuple((points[i].speciality, points[i].generality) for i in choose_frontier(points))

    def _hopeless(self) -> bool:
        """Whether all that was trained has failed; what failed before a resume is forgiven: its cause may be mended."""
        trained = {name: records for name, records in self.records.items() if name not in self._failed_before}
        finished = [records for records in trained.values() if any(r.recipe for r in records)]
        failed = [records for records in finished if any(r.status == "failed" for r in records)]
        return len(failed) >= _GIVE_UP_AFTER and len(failed) == len(finished)

    def _plan_tests(self) -> list[NamedJob]:
        """The chosen points that have no `test` score yet, shared out among the slots."""
        points = self.gathered().points
        tested = self.sweep.test_scores()
        wanted: dict[tuple[str, int], list[float]] = {}
        for index in points_to_report(points):
            point = points[index]
            if point.key not in tested:
                wanted.setdefault((point.trial, point.step), []).append(point.alpha)
        jobs = [
            TestJob(trial=trial, step=step, alphas=tuple(sorted(alphas)))
            for (trial, step), alphas in sorted(wanted.items())
        ]
        slots = self.space.resources.slots
        shares = [tuple(jobs[slot::slots]) for slot in range(slots)]
        return [NamedJob(name=f"test-{slot}", job=share) for slot, share in enumerate(shares) if share]


def _asked(job: TrialJob) -> Asked:
    return Asked(
        method=job.recipe.method,
        params=dict(job.asked),
        values={},
        fraction=job.fraction,
        alpha=job.alpha,
        seed=job.recipe.seed,
    )


def _number(trial: str) -> int:
    """A trial's number: `0007-lora` is the eighth training that was handed out."""
    return int(trial.split("-", 1)[0])
