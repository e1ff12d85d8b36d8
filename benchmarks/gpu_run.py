"""A space -> a worker's equipment as in a sweep, and trainings of it against the clock."""

import gc
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import torch
from gpu_models import Sizes
from gpu_rows import Row, fail, tell
from lm_peers import synchronise

from rayforget.frontier.points import THETA_0
from rayforget.record.jobs import TrialJob
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo, space_digest
from rayforget.space.methods import plain_of
from rayforget.space.models import Space
from rayforget.space.precision import CHOICE
from rayforget.space.recipe import Recipe
from rayforget.train.loop import train
from rayforget.train.penalties.sources import FoundationSources
from rayforget.trial.equipment import Equipment
from rayforget.trial.equipment_spec import EquipmentSpec
from rayforget.trial.pipeline import run_trial
from rayforget.values.records import CheckpointRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One part's settings."""

    part: str
    folder: Path
    """For models and data; models are shared by the parts."""
    sizes: Sizes
    device: torch.device
    early: bool
    """Whether to leave out what takes long."""
    toy: bool

    @property
    def precision(self) -> str:
        """Of trainings."""
        return "fp32" if self.toy else "bf16"

    def steps(self, many: int, few: int) -> int:
        """Number of steps to take: many, an early look's few, or a toy's four."""
        return 4 if self.toy else few if self.early else many

    def row(self, what: str, ours: float, unit: str, **more: Any) -> None:
        """Tells a figure as soon as it is known."""
        tell(Row(part=self.part, what=what, ours=ours, unit=unit, **more))

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """What fails is told, and the part goes on; the device's memory is free afterwards."""
        try:
            yield
        except Exception as error:
            traceback.print_exc(limit=-4)
            fail(self.part, what, f"{type(error).__name__}: {str(error)[:300]}")
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def open_equipment(run: Run, tree: Mapping[str, Any]) -> Equipment:
    """A worker's equipment for a space of foundation, tasks and recipe; the rest is added."""
    folder = run.folder / run.part
    whole = {
        "name": run.part,
        "methods": {"full": {}},
        "plain": {},
        "search": {"trainings": 1, "seed": 0},
        "storage": {"path": str(folder / "runs")},
        **tree,
    }
    resources = {"gpus_per_worker": int(run.device.type == "cuda"), "cache": str(folder / "cache")}
    whole["resources"] = {**resources, **tree.get("resources", {})}
    space = Space.model_validate(whole)
    resolved = space.model_dump(mode="json")
    info = SweepInfo(name="gpu", space_name=space.name, created=0.0, space_digest=space_digest(resolved))
    Sweep.create(Store.open(space.storage.path), info, space_text="", space=resolved)
    _take_kernels(run)
    return Equipment.open(EquipmentSpec(space=space, sweep_name="gpu"))


def _take_kernels(run: Run) -> None:
    """A card's kernels are measured once for all parts, as for all slots of a sweep."""
    chosen = sorted(run.folder.glob("*/runs/gpu/kernels"))
    mine = run.folder / run.part / "runs" / "gpu" / "kernels"
    if chosen and not mine.exists():
        shutil.copytree(chosen[0], mine)


def recipe_of(equipment: Equipment, **changes: Any) -> Recipe:
    """The space's plain recipe with changes."""
    fixed = plain_of(equipment.space).recipe(seed=0).model_dump(mode="json")
    return Recipe.model_validate({**fixed, **changes})


def trial(equipment: Equipment, number: int) -> CheckpointRecord:
    """A whole training with its curve and its record, as a slot runs it; each number is another recipe.

    Raises:
        RuntimeError: it failed.
    """
    recipe = recipe_of(equipment, learning_rate=1e-5 * (1 + number))
    record = run_trial(TrialJob(name=f"{number:04d}-full", recipe=recipe), equipment, lambda *_: None)[-1]
    if record.status != "ok":
        raise RuntimeError(record.reason)
    return record


def scoring_s(record: CheckpointRecord) -> float:
    """Seconds that its curve took; records know milliseconds."""
    return max(record.seconds["evaluate"], 1e-3)


def counted(equipment: Equipment, first: int) -> Callable[[], CheckpointRecord]:
    """Trials from this number on."""
    numbers = count(first)
    return lambda: trial(equipment, next(numbers))


def precision_of(record: CheckpointRecord) -> str:
    """In which the record's models were scored."""
    return str(record.provenance.get("evaluation_precision", "fp32"))


def chosen_by(equipment: Equipment) -> Any:
    """The figures by which the precision was chosen, as the record has them."""
    facts = equipment.sweep.record(THETA_0, 0).facts
    return facts.get(CHOICE, "nothing was to be chosen")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A training against the clock."""

    began: float
    ends: tuple[float, ...]
    """When each step ended; exact for the last skipped one and for the last one."""
    skipped: int

    @property
    def step_s(self) -> float:
        """Mean seconds of a step after those skipped."""
        return (self.ends[-1] - self.ends[self.skipped - 1]) / (len(self.ends) - self.skipped)

    @property
    def whole_step_s(self) -> float:
        """Mean seconds of a step, with the training's start and everything that is made once."""
        return (self.ends[-1] - self.began) / len(self.ends)


class _Enough(Exception):  # noqa: N818 (no error)
    """Ends a training."""


def timed_training(equipment: Equipment, recipe: Recipe, *, steps: int, skipped: int, within_s: float) -> Timed:
    """Trains for so many steps, or for as many as are done in the given time but one more than `skipped`."""
    ends: list[float] = []
    learner = equipment.foundation.learner(recipe)
    synchronise()
    began = time.perf_counter()

    def progress(done: int, total: int) -> None:
        late = time.perf_counter() - began > within_s and done > skipped
        last = late or done == min(steps, total)
        if last or done == skipped:
            synchronise()
        ends.append(time.perf_counter())
        if last:
            raise _Enough

    sources = FoundationSources(equipment.foundation, recipe, equipment.device, equipment.tensors_cache)
    try:
        for _ in train(learner, recipe, seed=0, fractions=(1.0,), progress=progress, sources=sources):
            pass
    except _Enough:
        pass
    return Timed(began=began, ends=tuple(ends), skipped=skipped)


def mean_seconds(work: Callable[[], Any], *, times: int, warm: int = 2) -> float:
    """Mean seconds of repeated work, the device waited for at both ends."""
    for _ in range(warm):
        work()
    synchronise()
    began = time.perf_counter()
    for _ in range(times):
        work()
    synchronise()
    return (time.perf_counter() - began) / times
