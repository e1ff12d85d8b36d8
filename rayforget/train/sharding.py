"""A module's weights in shards over the ranks (FSDP2, Zhao et al. 2023): each rank keeps a share of every weight.

A layer's weights are whole only while it computes; gradients and the optimiser's moments live in shards. Elementwise
work (proximal steps, quadratic forms, the lerp) runs on each rank's own share, with the same result.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import torch
from torch import Tensor, nn

from rayforget.distributed import rank, world_size
from rayforget.errors import FoundationError
from rayforget.foundations.rounded import LINEAR, only_multiplied

if TYPE_CHECKING:  # takes a second to import, for nothing if nothing is sharded
    from torch.distributed.fsdp import FSDPModule
    from torch.distributed.tensor import DTensor


def shard(module: nn.Module, device: torch.device, *, half: torch.dtype | None = None) -> None:
    """Shards the module in place over all ranks: each of its towers' blocks by itself, the rest together.

    A module on the CPU moves to `device` block by block. While a block computes, the next one is gathered, so that at
    most two are ever whole. Constants of a single number (CLIP's logit_scale) stay whole on every rank.

    Args:
        module: to be trained.
        device: this rank's.
        half: autocast's type. Matrices of the blocks' linear layers, which autocast would round to it at each use, are
            gathered in it: half the bytes, and the same bits. Shares, gradients between ranks and moments stay fp32.

    Raises:
        FoundationError: a trained parameter is a single number, which has no shares.
    """
    constants = _single_numbers(module)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    # It warns about in-place operations on a layer's output in general; transformers' layers have none.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor", category=UserWarning)
    mesh = init_device_mesh(device.type, (world_size(),))
    for constant in constants:
        constant.data = constant.data.to(device)
    policy = MixedPrecisionPolicy()
    if half is not None:
        rounded = {id(weight) for weight in only_multiplied(module, LINEAR)}
        policy = MixedPrecisionPolicy(
            param_dtype=half,
            reduce_dtype=torch.float32,
            cast_forward_inputs=False,
            param_dtype_override_fn=lambda weight: half if id(weight) in rounded else weight.dtype,
        )
    blocks = [fully_shard(block, mesh=mesh, mp_policy=policy, ignored_params=constants) for block in blocks_of(module)]
    # The root's weights stay whole from forward to backward, since the output layer is called in between.
    fully_shard(module, mesh=mesh, reshard_after_forward=False, ignored_params=constants)
    for block, coming in pairwise(blocks):
        block.set_modules_to_forward_prefetch([coming])


def reduce_gradients(module: nn.Module, *, now: bool) -> None:
    """Whether the next backward of a sharded module shares its gradients among the ranks, or keeps them whole here."""
    cast("FSDPModule", module).set_requires_gradient_sync(now)


def blocks_of(module: nn.Module) -> tuple[nn.Module, ...]:
    """The blocks of every tower, in the module's order: the members of its outermost lists of equal layers.

    Such a list is a ModuleList or a Sequential (timm's towers) of two or more modules of one class that have layers of
    their own. Empty if there is none (a perceptron).
    """
    children = tuple(module.children())
    if isinstance(module, nn.ModuleList | nn.Sequential) and len(children) > 1:
        made_of_layers = all(any(True for _ in child.children()) for child in children)
        if made_of_layers and len({type(child) for child in children}) == 1:
            return children
    return tuple(block for child in children for block in blocks_of(child))


def _single_numbers(module: nn.Module) -> set[nn.Parameter]:
    found = {name: parameter for name, parameter in module.named_parameters() if parameter.ndim == 0}
    trained = [name for name, parameter in found.items() if parameter.requires_grad]
    if trained:
        raise FoundationError(
            f"{', '.join(trained)} is a single number that is trained, which cannot lie in shards; write "
            "resources.sharding: none"
        )
    return set(found.values())


def is_shard(tensor: Tensor) -> TypeGuard["DTensor"]:
    """Whether this is one rank's part of a tensor (torch's DTensor)."""
    return hasattr(tensor, "full_tensor")


def own_share(tensor: Tensor) -> Tensor:
    """This rank's shard, sharing its memory; a tensor that is not sharded is returned as it is."""
    return tensor.to_local() if is_shard(tensor) else tensor


def own_shares(tensors: Iterable[Tensor]) -> list[Tensor]:
    """`own_share` of each."""
    return [own_share(tensor.detach()) for tensor in tensors]


def whole(tensor: Tensor) -> Tensor:
    """The whole tensor on every rank; all ranks must call it, in the same order."""
    return tensor.full_tensor() if is_shard(tensor) else tensor


def sharded_like(tensor: Tensor, other: Tensor) -> Tensor:
    """A tensor that is whole and equal on every rank -> this rank's share of it, cut like `other`."""
    if not is_shard(other):
        return tensor
    from torch.distributed.tensor import DTensor, Replicate

    replicated = DTensor.from_local(tensor, other.device_mesh, [Replicate()] * other.device_mesh.ndim, run_check=False)
    return own_share(replicated.redistribute(other.device_mesh, other.placements))


def load_whole(into: Tensor, value: Tensor) -> None:
    """Copies a whole tensor into one that may be sharded."""
    with torch.no_grad():
        if is_shard(into):
            from torch.distributed.tensor import distribute_tensor

            into.copy_(distribute_tensor(value.to(into.device), into.device_mesh, into.placements))
        else:
            into.copy_(value)


def gathered(tensor: Tensor) -> Tensor | None:
    """A shard's whole tensor on rank 0's CPU, None on the other ranks; all ranks must call it, in the same order.

    At most this one tensor is ever whole on a device. A tensor that is not sharded is returned as it is.
    """
    if not is_shard(tensor):
        return tensor
    everything = whole(tensor)
    return everything.to("cpu", copy=True) if rank() == 0 else None


def whole_optimiser(state: Mapping[str, Any]) -> dict[str, Any]:
    """An optimiser's state with whole moments; if sharded, on rank 0 only and None elsewhere, as from `gathered`."""
    moments = {
        number: {key: gathered(value) if isinstance(value, Tensor) else value for key, value in values.items()}
        for number, values in state["state"].items()
    }
    return {**state, "state": moments}


def sharded_optimiser(state: Mapping[str, Any], weights: Sequence[Tensor]) -> dict[str, Any]:
    """The inverse: moments cut like the weights, which come in the optimiser's order."""

    def cut(weight: Tensor, value: Any) -> Any:
        if not is_shard(weight) or not isinstance(value, Tensor) or value.shape != weight.shape:
            return value
        moment = torch.zeros_like(weight)
        load_whole(moment, value)
        return moment

    moments = {
        number: {key: cut(weights[number], value) for key, value in values.items()}
        for number, values in state["state"].items()
    }
    return {**state, "state": moments}
