"""A sweep's record and its space -> the GPU hours that its trainings took, and whether they have used up its budget."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rayforget.frontier.cost import slot_seconds
from rayforget.space.parts import Resources
from rayforget.values.brief import AnyCheckpoint

if TYPE_CHECKING:
    from rayforget.record.sweep import Sweep

_NOTE = "gpu-hours-"


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuBudget:
    """The GPU hours that a sweep may take and took."""

    hours: float
    """`resources.max_gpu_hours`."""
    spent: float
    """What its trainings, with scoring on `val` and saving, took of their slots' GPUs so far."""

    @property
    def used_up(self) -> bool:
        """Whether no training may begin."""
        return self.spent >= self.hours

    @property
    def words(self) -> str:
        """`12.1 of 12 GPU hours`."""
        return f"{self.spent:.3g} of {self.hours:g} GPU hours"


def gpus_of_slot(resources: Resources) -> float:
    """GPUs that one training holds."""
    return resources.workers_per_slot * resources.gpus_per_worker


def budget_of(sweep: "Sweep", records: Iterable[AnyCheckpoint]) -> GpuBudget | None:
    """A sweep's budget by its record alone; None if it has none. Raises what a damaged space.json raises."""
    resources: Mapping[str, Any] = json.loads(sweep.space_json()).get("resources", {})
    if resources.get("max_gpu_hours") is None:
        return None
    gpus = float(resources["workers_per_slot"]) * float(resources["gpus_per_worker"])
    hours = max([float(resources["max_gpu_hours"]), *noted_gpu_hours(sweep)])
    return GpuBudget(hours=hours, spent=slot_seconds(records) * gpus / 3600)


def note_gpu_hours(sweep: "Sweep", resources: Resources) -> None:
    """Records the sweep's budget, so that whoever goes on with it later has it too."""
    if resources.max_gpu_hours is not None:
        sweep.store.write_once(f"budget/{_NOTE}{resources.max_gpu_hours!r}", b"")


def noted_gpu_hours(sweep: "Sweep") -> list[float]:
    """Every budget of GPU hours that the sweep was ever given."""
    names = [name.removeprefix(_NOTE) for name in sweep.store.files("budget") if name.startswith(_NOTE)]
    return sorted(float(name) for name in names)
