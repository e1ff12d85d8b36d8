"""A recorded sweep -> its foundation with the space's tasks on this machine, and what exports its models."""

from dataclasses import dataclass

import torch

from rayforget.errors import RecordError
from rayforget.foundations.exporter import Exporter
from rayforget.foundations.kind import kind_of
from rayforget.foundations.prepare import prepare_foundation
from rayforget.foundations.protocol import Foundation
from rayforget.frontier.points import THETA_0
from rayforget.record.cache_folder import cache_folder
from rayforget.record.sweep import Sweep
from rayforget.space.models import Space
from rayforget.tasks.images.known_hashes import HashStore
from rayforget.tasks.opening import Opened, open_tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSweep:
    """A sweep with its foundation on the CPU; the tasks are opened, and nothing is decoded before it is needed."""

    sweep: Sweep
    space: Space
    foundation: Foundation
    tasks: Opened
    """The space's tasks, as this machine has them."""
    exporter: Exporter


def open_sweep(sweep: Sweep, space: Space) -> OpenedSweep:
    """Loads the foundation and opens the tasks.

    Raises:
        FoundationError: the model cannot be loaded, or its kind cannot be exported.
        TaskError: data is missing.
        RecordError: the model is another one than the sweep's.
    """
    cache = cache_folder(space)
    tasks = open_tasks(space.tasks, cache=cache, hashes=HashStore.in_cache(cache))
    foundation = prepare_foundation(space, cache=cache, device=torch.device("cpu"), tasks=tasks)
    if sweep.has(THETA_0, 0):
        recorded = sweep.record(THETA_0, 0).theta_0_hash
        if recorded != foundation.theta_0_hash:
            raise RecordError(
                f"sweep {sweep.info.name} was started from a model with hash {recorded}, foundation.model has "
                f"{foundation.theta_0_hash} now; restore it"
            )
    exporter = kind_of(space.foundation).exporter(foundation, space.foundation)
    return OpenedSweep(sweep=sweep, space=space, foundation=foundation, tasks=tasks, exporter=exporter)
