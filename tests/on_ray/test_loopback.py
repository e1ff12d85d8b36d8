"""Ranks of one machine meet where no other machine can reach them."""

from types import SimpleNamespace
from typing import Any

import psutil
import torch
import torch.distributed as dist

from rayforget.on_ray import loopback
from rayforget.on_ray.loopback import LoopbackConfig, join, listen


def listening() -> set[str]:
    return {each.laddr.ip for each in psutil.Process().net_connections() if each.status == psutil.CONN_LISTEN}


def test_the_store_of_a_group_listens_on_loopback_alone() -> None:
    before = listening()
    join(backend="gloo", rank=0, size=1, port=listen(), timeout_s=10)
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

    class Group(SimpleNamespace):
        def __len__(self) -> int:
            return 1

    config = LoopbackConfig()
    config.backend_cls().on_start(Group(execute=asked.append), config)
    assert asked == [loopback._set_torch_distributed_env_vars]
    assert not dist.is_initialized()
