"""A loaded space -> its foundation with a few items of each task, in a temporary folder, for a probe."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from rayforget.errors import FoundationError, SpaceError
from rayforget.foundations.fit import fitting_foundation
from rayforget.foundations.kind import kind_of
from rayforget.foundations.protocol import Foundation
from rayforget.foundations.sharing import keep_own
from rayforget.space.file.load import LoadedSpace
from rayforget.space.foundation import FoundationConfig
from rayforget.tasks.opening import Opened

BATCH = 64
"""Items of a timed step or evaluation; a larger batch is assumed to cost in proportion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The same model twice, with more and with fewer items."""

    spec: FoundationConfig
    many: Foundation
    one: Foundation
    """The foundation prepared with one item of each split of each task."""
    num_val: int
    """Items of `val` in `many`, all tasks together."""
    load_s: float
    """Seconds to load the model."""


def take_samples(loaded: LoadedSpace, tasks: Opened, *, device: torch.device, folder: Path) -> Samples:
    """Loads the model; items are decoded or tokenised on first use.

    Raises:
        SpaceError: the model cannot be loaded; names the file and line of its key.
    """
    spec = loaded.space.foundation
    kind = kind_of(spec)
    resources = loaded.space.resources.model_copy(update={"evaluation_batch": BATCH, "sharding": "none"})
    started = time.perf_counter()
    try:
        model = kind.load(spec, device, keep_own)
        load_s = time.perf_counter() - started
        many, one = (
            {name: task.few(count) for name, task in tasks.items()} for count in (max(2, BATCH // len(tasks)), 1)
        )
        of_many = kind.with_tasks(model, spec, many, cache=folder / "many", resources=resources)
        of_one = kind.with_tasks(model, spec, one, cache=folder / "one", resources=resources)
        return Samples(
            spec=spec,
            many=fitting_foundation(spec, of_many),
            one=fitting_foundation(spec, of_one),
            num_val=sum(task.splits["val"].expected_count for task in many.values() if "val" in task.splits),
            load_s=load_s,
        )
    except FoundationError as error:
        raise SpaceError(f"{loaded.where('foundation.model')}: foundation: {error}") from None
