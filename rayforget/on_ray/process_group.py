"""The ranks of a worker group -> torch's process group, over the network or over loopback alone.

Ray's own way, TorchTrainer with TorchConfig, imports torch in the slot's actor and in Ray Train's controller, which
compute nothing: a slot's actor then takes 704 MB instead of 204, and 4.9 s of CPU to import instead of 3.4. Here only
the workers do. What they are asked to call are Ray's own functions, but for groups on one machine: Ray lets torch's
TCPStore listen on all of the machine's interfaces, even for a group of one worker, who has nobody to talk to. Such a
group gets none, and `rayforget.distributed` works without one.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any

import ray
from ray.train.backend import Backend, BackendConfig

TIMEOUT_S = 1800
"""After how long a collective gives up; Ray's own default."""
_LOOPBACK = "127.0.0.1"
_LISTENING: list[socket.socket] = []
"""In rank 0: the socket of the store that it is about to open."""


class ProcessGroup(BackendConfig):
    """Ray Train's settings of a torch process group."""

    def __init__(self, *, loopback: bool) -> None:
        self.loopback = loopback
        """Whether nothing may listen but on loopback: for workers that are all on this machine, or for a single one."""

    @property
    def backend_cls(self) -> type["Ranks"]:
        """What Ray Train asks to connect the workers."""
        return Ranks

    @property
    def train_func_context(self) -> Callable[[], AbstractContextManager[None]]:
        """Around the loop of each worker."""
        return on_own_card


class Ranks(Backend):
    """Connects the workers of a group when it starts, and frees what they hold when it ends."""

    share_cuda_visible_devices = True

    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Asks every worker to join."""
        assert isinstance(backend_config, ProcessGroup)
        worker_group.execute(_name_rank)
        size = len(worker_group)
        if size == 1 and backend_config.loopback:
            return
        backend = "nccl" if worker_group.get_resources_per_worker().get("GPU", 0) > 0 else "gloo"
        if backend_config.loopback:
            common: tuple[Any, ...] = (backend, size, worker_group.execute_single(0, listen), TIMEOUT_S)
            asked = [worker_group.execute_single_async(rank, join, rank, *common) for rank in range(size)]
        else:
            url = worker_group.execute_single(0, _meeting)
            asked = [
                worker_group.execute_single_async(rank, _join_at, backend, rank, size, url) for rank in range(size)
            ]
        ray.get(asked)

    def on_shutdown(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Ends the group; a worker that does not answer soon is not waited for."""
        ray.wait(worker_group.execute_async(_leave, len(worker_group) > 1), num_returns=len(worker_group), timeout=30)


@contextmanager
def on_own_card() -> Iterator[None]:
    """Makes the worker's own GPU, if it has one, torch's current device."""
    from ray.train.torch.config import TorchConfigContextManager

    with TorchConfigContextManager():
        yield


def _name_rank() -> None:
    """Sets LOCAL_RANK, WORLD_SIZE and such in a worker."""
    from ray.train.torch.config import _set_torch_distributed_env_vars

    _set_torch_distributed_env_vars()  # type: ignore[no-untyped-call]


def _meeting() -> str:
    """Where the ranks meet, if they are on several machines: a free port of rank 0's, at its node's address."""
    from ray._common.network_utils import build_address  # type: ignore[attr-defined]
    from ray.train._internal.utils import get_address_and_port

    return f"tcp://{build_address(*get_address_and_port())}"


def _join_at(backend: str, rank: int, size: int, url: str) -> None:
    from ray.train.torch.config import _setup_torch_process_group

    _setup_torch_process_group(backend, rank, size, url, TIMEOUT_S)


def _leave(destroy: bool) -> None:
    from ray.train.torch.config import _shutdown_torch

    _shutdown_torch(destroy_process_group=destroy)  # type: ignore[no-untyped-call]


def listen() -> int:
    """Opens a port on loopback in rank 0, for the store of the next `join`; returns its number."""
    opened = socket.socket()
    opened.bind((_LOOPBACK, 0))
    opened.listen(128)
    _LISTENING[:] = [opened]
    return int(opened.getsockname()[1])


def join(rank: int, backend: str, size: int, port: int, timeout_s: float) -> None:
    """Joins this process to the group on this machine; returns when all ranks have.

    Args:
        rank: this process's.
        backend: `gloo` or `nccl`.
        size: number of ranks.
        port: what `listen` returned in rank 0.
        timeout_s: after how long a collective gives up.
    """
    import torch.distributed as dist

    if backend == "nccl":
        os.environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "1")  # as Ray does
    timeout = timedelta(seconds=timeout_s)
    listening = _LISTENING.pop().detach() if rank == 0 else None  # the store closes it
    store = dist.TCPStore(  # type: ignore[attr-defined]
        _LOOPBACK, port, size, rank == 0, timeout, master_listen_fd=listening
    )
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=timeout)
