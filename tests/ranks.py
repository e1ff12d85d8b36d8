"""Several ranks on this machine, joined by gloo.

Ranks are forked from a server that has imported the heavy libraries once, so that each starts in a fraction of a
second, clean of whatever the test's own process has done.
"""

import multiprocessing
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

_IMPORTED_ONCE = [
    "open_clip",
    "transformers.models.opt.modeling_opt",
    "rayforget.trial.pipeline",
    "torch.distributed.fsdp",
]


def preload() -> None:
    """Says what the server imports; in force if it has not started yet."""
    multiprocessing.set_forkserver_preload(_IMPORTED_ONCE)


def run_ranks(world_size: int, folder: Path, work: Callable[[Path], None]) -> None:
    """Runs `work(folder)` on every rank; it asks torch.distributed which rank it is.

    Args:
        world_size: Number of ranks, each a process of one thread.
        folder: Where they meet, and what `work` is given.
        work: A function of a module, since it is pickled by its name.

    Raises:
        Exception: torch's own for a rank that raised or died, with its traceback.
    """
    preload()
    torch.multiprocessing.start_processes(
        _rank, args=(world_size, folder, work), nprocs=world_size, start_method="forkserver"
    )  # type: ignore[no-untyped-call]


def _rank(rank: int, world_size: int, folder: Path, work: Callable[[Path], None]) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting-of-{world_size}"
    dist.init_process_group("gloo", meeting, timedelta(seconds=120), world_size, rank)
    work(folder)
    dist.barrier()
    dist.destroy_process_group()
