"""A worker group on one machine -> its ranks' process group, of which nothing listens but on loopback.

Ray's own way lets torch's TCPStore listen on all of the machine's interfaces, even for a group of one worker, who has
nobody to talk to: such a group gets none, and `rayforget.distributed` works without one.
"""

import os
import socket
from datetime import timedelta
from typing import Any

import ray
import torch.distributed as dist
from ray.train.torch import TorchConfig
from ray.train.torch.config import _set_torch_distributed_env_vars, _TorchBackend

_HOST = "127.0.0.1"
_LISTENING: list[socket.socket] = []
"""In rank 0: the socket of the store that it is about to open."""


class LoopbackConfig(TorchConfig):
    """Ray Train's settings of torch's process group, for workers that are all on this machine, or for a single one."""

    @property
    def backend_cls(self) -> type[_TorchBackend]:
        """What Ray Train asks to connect the workers."""
        return _LoopbackBackend


class _LoopbackBackend(_TorchBackend):
    def on_start(self, worker_group: Any, backend_config: TorchConfig) -> None:  # type: ignore[override]  # Ray's way
        worker_group.execute(_set_torch_distributed_env_vars)
        size = len(worker_group)
        if size == 1:
            return
        backend = "nccl" if worker_group.get_resources_per_worker().get("GPU", 0) > 0 else "gloo"
        port = worker_group.execute_single(0, listen)
        common = (backend, size, port, backend_config.timeout_s)
        ray.get([worker_group.execute_single_async(rank, join, rank, *common) for rank in range(size)])


def listen() -> int:
    """Opens a port on loopback in rank 0, for the store of the next `join`; returns its number."""
    opened = socket.socket()
    opened.bind((_HOST, 0))
    opened.listen(128)
    _LISTENING[:] = [opened]
    return int(opened.getsockname()[1])


def join(rank: int, backend: str, size: int, port: int, timeout_s: float) -> None:
    """Joins this process to the group; returns when all ranks have.

    Args:
        rank: this process's.
        backend: `gloo` or `nccl`.
        size: number of ranks.
        port: what `listen` returned in rank 0.
        timeout_s: after how long a collective gives up.
    """
    if backend == "nccl":
        os.environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "1")  # as Ray does
    timeout = timedelta(seconds=timeout_s)
    listening = _LISTENING.pop().detach() if rank == 0 else None  # the store closes it
    store = dist.TCPStore(  # type: ignore[attr-defined]
        _HOST, port, size, rank == 0, timeout, master_listen_fd=listening
    )
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=timeout)
