"""What the driver of a sweep costs for each training, as the sweep grows, and what a resume takes.

The real agenda, record, study, frontier and housekeeping over 32 slots that need no time: a training's record, with
random scores, is there as soon as it is asked for. Its making is not counted. The sampler's own time is counted apart:
Optuna's TPE looks at all trials it knows for each that it suggests.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from listing import ALPHAS, World
from verdict import print_machine, print_target

from rayforget.commands.sweep import progress_of
from rayforget.frontier.baseline_errors import BaselineErrors
from rayforget.frontier.points import THETA_0
from rayforget.record.housekeeping import tidy_weights
from rayforget.record.jobs import TrialJob
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.search.agenda import Agenda, NamedJob
from rayforget.search.study import CurveStudy
from rayforget.space.file.load import load_space
from rayforget.space.methods import methods_of
from rayforget.space.models import Space
from rayforget.space.shipped import quickstart
from rayforget.values.points import Point
from rayforget.values.records import CheckpointRecord

SLOTS = 32
WINDOW = 10
"""Trainings over which a figure is a mean."""


class Clock:
    """Seconds by what they went to."""

    def __init__(self) -> None:
        self.driver = self.sampler = 0.0

    @contextmanager
    def driving(self) -> Iterator[None]:
        """Counts the block as the driver's, but for the sampler's part."""
        start, before = time.perf_counter(), self.sampler
        yield
        self.driver += time.perf_counter() - start - (self.sampler - before)

    def sampling(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose time is the sampler's."""

        def timed(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.sampler += time.perf_counter() - start

        return timed


def main() -> None:
    """Runs a sweep of each size to its last training, resumes it, prints figures and targets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=100, help="items of each task")
    parser.add_argument("--sampler", default="tpe")
    options = parser.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        space = spaced(Path(folder), options.trials, options.sampler)
        info = SweepInfo(name="driven", space_name=space.name, created=time.time(), space_digest="0" * 12)
        sweep = Sweep.create(Store.open(folder), info, space_text="", space=space.model_dump(mode="json"))
        means = drive(space, sweep, World(space, "val", options.items))
        for number, (driver, sampler) in means.items():
            print(f"training {number}: driver {1e3 * driver:.1f} ms, sampler {1e3 * sampler:.1f} ms", flush=True)
        first, last = means[min(means)][0], means[max(means)][0]
        print_target("driver's ms for a training at the end", 1e3 * last, at_most=50)
        print_target("at the end over the beginning", last / first, at_most=2)
        start = time.perf_counter()
        resumed = Agenda(space, sweep, study_of(space))
        print_target("seconds of a resume", time.perf_counter() - start, at_most=60)
        assert resumed.finished_trainings() >= options.trials
        scale = 2**30 if sys.platform == "darwin" else 2**20
        print_target("peak GiB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale, at_most=1)


def spaced(folder: Path, trials: int, sampler: str) -> Space:
    """The quickstart's space for so many trainings."""
    whole = load_space(quickstart()).space
    search = whole.search.model_copy(update={"trainings": trials, "sampler": sampler})
    resources = whole.resources.model_copy(update={"slots": SLOTS})
    storage = whole.storage.model_copy(update={"path": str(folder)})
    return whole.model_copy(update={"search": search, "resources": resources, "storage": storage})


def study_of(space: Space) -> CurveStudy:
    """A new study of it."""
    return CurveStudy(methods_of(space), search=space.search, curve=space.curve, name="driven")


def drive(space: Space, sweep: Sweep, world: World) -> dict[int, tuple[float, float]]:
    """Mean seconds of driver and of sampler for a training, by the number of trainings that are done."""
    clock, study = Clock(), study_of(space)
    for name in ("ask", "tell"):
        setattr(study, name, clock.sampling(getattr(study, name)))
    agenda = Agenda(space, sweep, study)
    errors = BaselineErrors(agenda.roles)
    shown = {10**power for power in range(1, 9)} | {agenda.num_trainings}
    found: dict[int, tuple[float, float]] = {}
    running: deque[NamedJob] = deque()
    rng = np.random.default_rng(1)
    begun = (0.0, 0.0)
    while agenda.finished_trainings() < agenda.num_trainings:
        with clock.driving():
            job = agenda.next() if len(running) < SLOTS else None
        if isinstance(job, NamedJob) and isinstance(job.job, TrialJob):
            running.append(job)
            continue
        done = running.popleft()
        steps = train(sweep, done, world, rng)
        with clock.driving():
            agenda.done(done.name, steps)
            tidy_weights(sweep, agenda.leading, agenda.roles, space.storage.keep)
            progress_of(agenda, done, errors)
        number = agenda.finished_trainings()
        if any(number == end - WINDOW for end in shown):
            begun = clock.driver, clock.sampler
        if number in shown:
            found[number] = (clock.driver - begun[0]) / WINDOW, (clock.sampler - begun[1]) / WINDOW
    return found


def train(sweep: Sweep, named: NamedJob, world: World, rng: np.random.Generator) -> list[int]:
    """Writes what a worker writes of a training, and of theta_0 with the first; returns its steps."""
    assert isinstance(named.job, TrialJob)
    if not sweep.has(THETA_0, 0):
        sweep.add(record_of(THETA_0, 0, {}, {}, world, (0.0, 0.0), (0.0,)))
    recipe = named.job.recipe.model_dump(mode="json")
    end = float(rng.normal(0.8, 0.3)), float(rng.normal(-0.6, 0.4))
    alphas = tuple(sorted({*ALPHAS, named.job.alpha}))
    sweep.add(record_of(named.name, 80, recipe, dict(named.job.asked), world, end, alphas))
    return [80]


def record_of(
    trial: str,
    step: int,
    recipe: dict[str, Any],
    asked: dict[str, Any],
    world: World,
    end: tuple[float, float],
    alphas: tuple[float, ...],
) -> CheckpointRecord:
    """A record whose scores follow a bent curve to `end`, in logits."""
    points = tuple(
        Point(alpha=alpha, coarse=alpha in ALPHAS, scores=world.scores((end[0] * alpha**0.8, 1 + end[1] * alpha**1.7)))
        for alpha in alphas
    )
    return CheckpointRecord(
        trial=trial, step=step, fraction=float(step > 0), status="ok", recipe=recipe, asked=asked, points=points,
        theta_0_hash="0" * 64, theta_1_hash="1" * 64, changed=tuple(f"visual.block.{i}.weight" for i in range(40)),
        seconds={"train": 2.0, "evaluate": 1.0}, facts={"final_loss": 0.5}, finished=time.time(),
    )  # fmt: skip


if __name__ == "__main__":
    main()
