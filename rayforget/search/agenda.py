"""Which job comes next: the baselines, unfinished trainings, what the study asks for, then the test scores.

The agenda belongs to the driver. It writes down a job before handing it out, so that a new driver finds the unfinished
trainings; results are read from the record.
"""

import logging
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from rayforget.frontier.choose import choose_frontier
from rayforget.frontier.cost import slot_seconds
from rayforget.frontier.gather import Gathered, gather
from rayforget.frontier.leading import Leading
from rayforget.frontier.on_demand import items_of, with_items
from rayforget.frontier.points import PLAIN, THETA_0, FrontierPoint, task_roles
from rayforget.record.gpu_budget import GpuBudget, gpus_of_slot
from rayforget.record.jobs import Job, NotedJobs, TrialJob
from rayforget.record.standing import is_finished
from rayforget.record.sweep import Sweep
from rayforget.record.wanted_tests import wanted_tests
from rayforget.search.asked_again import asked_of, number_of
from rayforget.search.study import CurveStudy
from rayforget.space.methods import methods_of, plain_of
from rayforget.space.models import Space
from rayforget.space.path_text import LERP
from rayforget.space.recipe import Recipe
from rayforget.values.brief import CheckpointBrief

logger = logging.getLogger(__name__)
_GIVE_UP_AFTER = 3
"""Trainings that may fail before any succeeds: after that something is wrong with the space, not with a recipe."""

_LOSSES = 3
"""How often a job may lose its slot before the sweep halts."""


class Next(Enum):
    """The agenda's answer if it has no job."""

    WAIT = "wait"
    """Nothing to do until a running job is done."""
    FINISHED = "finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedJob:
    """A job and the name under which it is reported."""

    name: str
    job: Job

    @property
    def words(self) -> str:
        """What the job is, for people."""
        return self.name if isinstance(self.job, TrialJob) else f"scores on test ({self.name})"


class Agenda:
    """The order of a sweep's work, and what is known so far; rebuilt from the record on resume."""

    def __init__(self, space: Space, sweep: Sweep, study: CurveStudy) -> None:
        self.space, self.sweep, self.study = space, sweep, study
        self.roles = task_roles(space)
        self._methods = {method.name: method for method in methods_of(space)}
        self.records: dict[str, list[CheckpointBrief]] = {}
        self.running: dict[str, NamedJob] = {}
        self.halted: str | None = None
        """Why no more jobs are handed out before the end."""
        self.broken_off: set[str] = set()
        """Names of the jobs that ended without a result and made the sweep halt."""
        self._items = items_of(sweep.record)
        self._notes = NotedJobs(sweep.store)
        self._leading = Leading()
        self._losses: Counter[str] = Counter()
        self._waiting: deque[TrialJob] = deque()
        self._num_asked = 0
        self._num_handed_out = 0
        self._recipes: set[str] = set()
        """Keys of the recipes handed out."""
        self._trained: set[str] = set()
        """Trials with a record, without theta_0."""
        self._ended: set[str] = set()
        self._failures: dict[str, str] = {}
        self._slot_s = 0.0
        self._tests: deque[NamedJob] | None = None
        seeds = self._replay()
        self._num_failed_before = len(self._failures)
        for seed in sorted(set(range(space.plain.seeds)) - seeds):
            recipe = plain_of(space).recipe({}, seed=seed)
            self._waiting.append(self._new_job(PLAIN, TrialJob(name="", recipe=recipe)))

    @property
    def gpu_budget(self) -> GpuBudget | None:
        """The GPU hours that the sweep may take and took; None without `resources.max_gpu_hours`."""
        resources = self.space.resources
        if resources.max_gpu_hours is None:
            return None
        return GpuBudget(hours=resources.max_gpu_hours, spent=self._slot_s * gpus_of_slot(resources) / 3600)

    @property
    def out_of_budget(self) -> bool:
        """Whether no training may begin though some are left."""
        budget = self.gpu_budget
        left = bool(self._waiting) or self._num_asked < self.space.search.trainings
        return left and budget is not None and budget.used_up

    @property
    def num_trainings(self) -> int:
        """Trainings of the whole sweep, including the baselines."""
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
        """Whether a resumed sweep has nothing left to do, known before anything is started for it."""
        trained = not self.running and not self._waiting and self._num_asked >= self.space.search.trainings
        if (trained or (self.out_of_budget and not self.running)) and self._tests is None and not self._hopeless():
            self._tests = deque(self._plan_tests())
        return self.finished

    def next(self) -> NamedJob | Next:
        """The next job, or why there is none."""
        if self.halted is not None or self._hopeless():
            return Next.WAIT if self.running else Next.FINISHED
        if not self.out_of_budget:
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
        """Reads a finished job's result from the record: the trial's `steps`, or a test's scores."""
        named = self.running.pop(name)
        if isinstance(named.job, TrialJob):
            self._take(named.job, [self.sweep.recorded(name, step) for step in steps])

    def hand_out_again(self, name: str) -> bool:
        """Queues a running job whose slot was lost, as the next; False once that has happened to it three times."""
        self._losses[name] += 1
        if self._losses[name] > _LOSSES:
            return False
        named = self.running.pop(name)
        if isinstance(named.job, TrialJob):
            self._waiting.appendleft(named.job)
        else:
            assert self._tests is not None
            self._tests.appendleft(named)
        return True

    def halt(self, name: str, reason: str) -> None:
        """Hands out nothing more: a job failed for a reason other than itself."""
        self.running.pop(name, None)
        self.broken_off.add(name)
        self.halted = reason

    def briefs(self) -> list[CheckpointBrief]:
        """Every record known at this moment."""
        return [brief for records in self.records.values() for brief in records]

    def leading(self, checkpoints: Iterable[tuple[str, int]] = ()) -> Gathered:
        """The points that a report may choose, and all of these checkpoints: enough for whatever asks for the best.

        Their items are read on demand; failures are not counted here.
        """
        owned = [brief for trial, step in checkpoints for brief in self.records.get(trial, []) if brief.step == step]
        points = {point.key: point for point in (*self._leading.points, *gather(owned, self.roles).points)}
        return with_items(Gathered(points=tuple(points[key] for key in sorted(points)), val={}, failed={}), self._items)

    def failures(self) -> dict[str, str]:
        """Failed trial -> the first line of its reason."""
        return dict(sorted(self._failures.items()))

    def finished_trainings(self) -> int:
        """Trainings that are done or have failed."""
        return len(self._ended)

    def _replay(self) -> set[int]:
        """Reads the record: asks and tells the study again, in the order of the asks, and queues what is unfinished.

        Returns:
            The baseline's seeds that were handed out.
        """
        handed_out = self._notes.load()
        for brief in self.sweep.briefs():
            self.records.setdefault(brief.trial, []).append(brief)
        self._leading.add(gather(self.briefs(), self.roles).points)
        self._slot_s = slot_seconds(self.briefs())
        for name, records in self.records.items():
            self._note(name, records)
        self._ended &= handed_out.keys()
        self._num_handed_out = len(handed_out)
        self._recipes = {job.recipe.key for job in handed_out.values()}
        for name, job in sorted(handed_out.items(), key=lambda entry: number_of(entry[0])):
            searched = job.recipe.method != PLAIN
            if searched:
                self._num_asked += 1
                self.study.ask_again(number_of(name), asked_of(job))
            if name not in self._ended:
                self._waiting.append(job)
            elif searched:
                self._tell(job, gather(self.records[name], self.roles).points)
        return {job.recipe.seed for job in handed_out.values() if job.recipe.method == PLAIN}

    def _note(self, name: str, records: Sequence[CheckpointBrief]) -> None:
        """Counts a trial by its records."""
        if any(record.recipe for record in records):
            self._trained.add(name)
        if is_finished(records) and name != THETA_0:
            self._ended.add(name)
        for record in records:
            if record.status == "failed":
                self._failures[name] = (record.reason or "").split("\n", 1)[0]

    def _ask(self) -> TrialJob:
        asked = self.study.ask(self._num_handed_out)
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
        """The recipe with the next unused seed, since equal trainings would give equal weights."""
        while recipe.key in self._recipes:
            recipe = recipe.model_copy(update={"seed": recipe.seed + 1})
        return recipe

    def _new_job(self, method: str, job: TrialJob) -> TrialJob:
        job = replace(job, name=f"{self._num_handed_out:04d}-{method}")
        self._notes.save(job)
        self._num_handed_out += 1
        self._recipes.add(job.recipe.key)
        return job

    def _start(self, job: TrialJob) -> NamedJob:
        named = NamedJob(name=job.name, job=job)
        self.running[job.name] = named
        return named

    def _take(self, job: TrialJob, records: list[CheckpointBrief]) -> None:
        self.records[job.name] = sorted(records, key=lambda record: record.step)
        fresh = self.records[job.name]
        self._slot_s += slot_seconds(fresh)
        if THETA_0 not in self.records and self.sweep.has(THETA_0, 0):
            self.records[THETA_0] = [self.sweep.brief(THETA_0, 0)]
            fresh = [*self.records[THETA_0], *fresh]
        self._note(job.name, self.records[job.name])
        points = gather(fresh, self.roles).points
        self._leading.add(points)
        if job.recipe.method != PLAIN:
            self._tell(job, [point for point in points if point.trial == job.name])

    def _tell(self, job: TrialJob, points: Sequence[FrontierPoint]) -> None:
        """Tells the study about a trial that ended."""
        if job.name in self._failures:
            self.study.fail(number_of(job.name))
            return
        self.study.tell(number_of(job.name), asked_of(job), [point for point in points if point.path == LERP])

    def _frontier(self) -> tuple[tuple[float, float], ...]:
        points = self._leading.points
        return tuple((points[i].speciality, points[i].generality) for i in choose_frontier(points))

    def _hopeless(self) -> bool:
        """Whether all trainings have failed; failures before a resume do not count, since their cause may be mended."""
        failed = len(self._failures) - self._num_failed_before
        return failed >= _GIVE_UP_AFTER and failed == len(self._trained) - self._num_failed_before

    def _plan_tests(self) -> list[NamedJob]:
        """The chosen points without a `test` score, distributed over the slots."""
        jobs = wanted_tests(self._leading.points, self.sweep.test_scores())
        slots = self.space.resources.slots
        shares = [tuple(jobs[slot::slots]) for slot in range(slots)]
        return [NamedJob(name=f"test-{slot}", job=share) for slot, share in enumerate(shares) if share]
