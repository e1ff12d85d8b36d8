"""Ranks of one machine meet where no other machine can reach them."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
import torch.distributed as dist

from rayforget.on_ray import process_group
from rayforget.on_ray.process_group import ProcessGroup, join, listen


class Group(SimpleNamespace):
    """What Ray Train hands over, of workers that only note what they are asked to do."""

    def __init__(self, size: int, **methods: Any) -> None:
        super().__init__(**methods)
        self._size = size

    def __len__(self) -> int:
        return self._size


def listening() -> set[str]:
    return {each.laddr.ip for each in psutil.Process().net_connections() if each.status == psutil.CONN_LISTEN}


def test_the_store_of_a_group_listens_on_loopback_alone() -> None:
    before = listening()
    join(0, "gloo", 1, listen(), 10)
    try:
        assert "127.0.0.1" in listening()
        assert listening() - before <= {"127.0.0.1"}
        total = torch.ones(1)
        dist.all_reduce(total)
        assert (total.item(), dist.get_world_size()) == (1, 1)
    finally:
        dist.destroy_process_group()


def test_a_single_worker_opens_nothing() -> None:
    asked: list[Any] = []

    config = ProcessGroup(loopback=True)
    config.backend_cls().on_start(Group(1, execute=asked.append), config)
    assert asked == [process_group._name_rank]
    assert not dist.is_initialized()


def test_every_worker_of_a_larger_group_joins_at_the_port_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def execute_single_async(rank: int, fn: Callable[..., Any], *fn_args: Any, **fn_kwargs: Any) -> None:  # as Ray's
        inspect.signature(fn).bind(*fn_args, **fn_kwargs)
        asked.append((rank, fn, fn_args))

    monkeypatch.setattr(process_group.ray, "get", lambda references: None)
    for gpus, backend in ((0, "gloo"), (1, "nccl")):
        asked.clear()
        group = Group(
            3,
            execute=lambda fn: None,
            execute_single=lambda rank, fn: (rank, fn),
            execute_single_async=execute_single_async,
            get_resources_per_worker=lambda gpus=gpus: {"CPU": 1, "GPU": gpus},
        )
        config = ProcessGroup(loopback=True)
        config.backend_cls().on_start(group, config)
        assert asked == [(rank, join, (rank, backend, 3, (0, listen), process_group.TIMEOUT_S)) for rank in range(3)]


def test_a_slots_actor_and_ray_trains_controller_need_no_torch() -> None:
    """They name the group, its workers' loop and the job, which the workers alone read."""
    code = "import sys, rayforget.on_ray.trainable; sys.exit(bool({'torch', 'optuna', 'mlflow'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
