"""Asks torch.distributed who this process is, and agrees with the other ranks; all of it works in one process too."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from rayforget.errors import RayforgetError

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


def from_all_ranks(tensor: Tensor) -> Tensor:
    """All ranks' tensors, of equal shapes, one after another along the first axis; gradients go back to their ranks.

    If the ranks' losses are summed, the gradient of that sum reaches each rank's own tensor: it is the sum over ranks
    of the gradients of their losses.
    """
    if world_size() == 1:
        return tensor
    gathered: Tensor = _FromAllRanks.apply(tensor)
    return gathered


class _FromAllRanks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        ctx.length = len(tensor)
        found = [torch.empty_like(tensor) for _ in range(world_size())]
        dist.all_gather(found, tensor.contiguous())
        return torch.cat(found)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return all_reduce_sum(grad.contiguous())[rank() * ctx.length :][: ctx.length]


def any_rank(flag: bool, device: torch.device) -> bool:
    """True on every rank as soon as it is true on one."""
    if not is_distributed():
        return flag
    return bool(all_reduce_sum(torch.tensor(float(flag), device=device)).item() > 0)


def from_rank_0(value: T, device: torch.device) -> T:
    """Rank 0's value on every rank; what the other ranks pass is ignored.

    For decisions that the ranks could each take for themselves, but that must not differ in the last bit: one rank
    that asks for another alpha leaves the others waiting in a collective for ever.

    Args:
        value: small and picklable.
        device: this rank's device; NCCL moves only what is on a GPU.
    """
    return _from(0, value, device)


def from_every_rank(value: T, device: torch.device) -> list[T]:
    """All ranks' values, by rank; small and picklable."""
    return [_from(source, value, device) for source in range(world_size())]


def on_rank_0(decide: Callable[[], T], device: torch.device) -> T:
    """What `decide` returns on rank 0, on every rank; the other ranks do not call it.

    Meant for all that reads or writes the storage: two ranks that look for themselves may see two states of it (each
    host of a network disk remembers for a while what it saw), and an error known to rank 0 alone would leave the others
    waiting.

    Args:
        decide: returns something picklable, some megabytes at most.
        device: this rank's device.

    Raises:
        RayforgetError, OSError: on every rank, what `decide` raised. Rank 0 alone raises any other error.
    """
    value: T | None = None
    error: Exception | None = None
    if rank() == 0:
        try:
            value = decide()
        except (RayforgetError, OSError) as found:
            error = found
    value, error = from_rank_0((value, error), device)
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # T may include None


def reason_of_any_rank(reason: str | None, device: torch.device) -> str | None:
    """Why the ranks cannot go on: on every rank the reasons of all ranks that have one; None if none has."""
    if not any_rank(reason is not None, device):
        return None
    reasons = from_every_rank(reason, device)
    if len(set(reasons)) == 1:
        return reasons[0]
    return "; ".join(f"rank {source}: {found}" for source, found in enumerate(reasons) if found is not None)


def state_from_rank_0(state: T, device: torch.device) -> T:
    """Rank 0's state on every rank, sent tensor by tensor: at most one is held twice, or on the device, at a time.

    Args:
        state: nested dicts and lists of tensors on the CPU and of picklable values; only rank 0's is read.
        device: this rank's device.
    """
    if not is_distributed():
        return state
    tensors: list[Tensor] = []
    outline = from_rank_0(_outline(state, tensors) if rank() == 0 else None, device)
    if rank() == 0:
        for tensor in tensors:
            dist.broadcast(tensor.to(device).contiguous(), src=0)
        return state
    filled: T = _filled(outline, device)
    return filled


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A tensor's place in a state that is sent."""

    shape: torch.Size
    dtype: torch.dtype


def _outline(value: Any, tensors: list[Tensor]) -> Any:
    """The state with placeholders for its tensors, which are appended to `tensors` in the order of the placeholders."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return _Place(shape=value.shape, dtype=value.dtype)
    if isinstance(value, dict):
        return {key: _outline(inner, tensors) for key, inner in value.items()}
    return [_outline(inner, tensors) for inner in value] if isinstance(value, list) else value


def _filled(outline: Any, device: torch.device) -> Any:
    """The state with this outline; its tensors are received in the order of their placeholders."""
    if isinstance(outline, _Place):
        tensor = torch.empty(outline.shape, dtype=outline.dtype, device=device)
        dist.broadcast(tensor, src=0)
        return tensor.cpu()
    if isinstance(outline, dict):
        return {key: _filled(inner, device) for key, inner in outline.items()}
    return [_filled(inner, device) for inner in outline] if isinstance(outline, list) else outline


def _from(source: int, value: T, device: torch.device) -> T:
    if not is_distributed():
        return value
    box = [value]
    dist.broadcast_object_list(box, src=source, device=device)
    return box[0]
