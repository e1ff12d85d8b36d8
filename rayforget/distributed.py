"""Asks torch.distributed who this process is, and agrees with the other ranks; all of it works in one process too."""

from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


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


def from_rank_0(value: T, device: torch.device) -> T:
    """Rank 0's value on every rank; what the other ranks pass is not looked at.

    For decisions that the ranks could each take for themselves, but that must not differ in the last bit: one rank
    that asks for another alpha leaves the others waiting in a collective for ever.

    Args:
        value: can be pickled, and is small.
        device: of this rank; NCCL moves nothing that is not on a GPU.
    """
    if not is_distributed():
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0, device=device)
    return box[0]
