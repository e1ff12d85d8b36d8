"""Asks torch.distributed who this process is, and agrees with the other ranks; all of it works in one process too."""

import torch
import torch.distributed as dist
from torch import Tensor


def is_distributed() -> bool:
    """Whether a process group is up."""
    return dist.is_available() and dist.is_initialized()


def rank() -> int:
    """This process's rank, 0 without a process group."""
    return dist.get_rank() if is_distributed() else 0


def world_size() -> int:
    """Number of ranks, 1 without a process group."""
    return dist.get_world_size() if is_distributed() else 1


def all_reduce_sum(tensor: Tensor) -> Tensor:
    """Sums `tensor` over the ranks, in place, and returns it."""
    if is_distributed():
        dist.all_reduce(tensor)
    return tensor


def any_rank(flag: bool, device: torch.device) -> bool:
    """True on every rank as soon as it is true on one."""
    if not is_distributed():
        return flag
    return bool(all_reduce_sum(torch.tensor(float(flag), device=device)).item() > 0)
