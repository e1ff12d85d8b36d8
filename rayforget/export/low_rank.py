"""What a point changed -> the factors of an adapter.

The record keeps weights after the merge, since only these give a hash that any machine can check; the factors of the
training are gone. They need not be the same ones: B @ A is also (B @ M) @ (M^-1 @ A). The change at alpha is

    theta(alpha) - theta_0 = alpha * s * B @ A + rounding,    s the recipe's scale

and a singular value decomposition, cut at the recipe's rank, finds factors of it that are exact up to rounding (Eckart
and Young 1936: of all matrices of this rank the nearest). They are scaled so that the adapter's scale is alpha * s. A
path that gives each tensor an alpha of its own changes nothing in this; a DoRA's change has a higher rank.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from rayforget.errors import FoundationError
from rayforget.foundations.exporter import LowRankChange
from rayforget.interpolate.lerp import changed_tensors
from rayforget.space.recipe import LoraAdapter

_SMALL = 1024
"""Rows or columns up to which all singular values are computed; of larger matrices only the leading ones, by draws."""
_MORE = 8
"""Columns beyond the rank that the decomposition tries, and ..."""
_ROUNDS = 4
"""... its rounds of power iteration (Halko, Martinsson and Tropp 2011)."""


def low_rank_change(
    theta_0: Mapping[str, Tensor], theta: Mapping[str, Tensor], adapter: LoraAdapter, alpha: float
) -> LowRankChange:
    """The factors, and the tensors of layers that were trained in full beside them.

    Args:
        theta_0: the start.
        theta: the point's model.
        adapter: the recipe's; its rank, its scale and its `modules_to_save` are read.
        alpha: the point's.

    Raises:
        FoundationError: the point is theta_0 itself, or something other than a linear layer changed.
    """
    changed = changed_tensors(theta_0, theta)
    if not changed or alpha == 0:
        raise FoundationError("--adapter: the point's weights are the foundation's, so that there is nothing to adapt")
    whole = {name: tensor for name, tensor in changed.items() if _is_saved(name, adapter)}
    if odd := [name for name, tensor in changed.items() if name not in whole and tensor.ndim != 2]:
        raise FoundationError(f"--adapter: {odd[0]} changed and is no linear layer's weight; export the merged model")
    scale = abs(alpha) * (adapter.scale / adapter.rank**0.5 if adapter.use_rslora else adapter.scale)
    factors = {
        name: factorise(tensor.double() - theta_0[name].double(), adapter.rank, scale)
        for name, tensor in changed.items()
        if name not in whole
    }
    return LowRankChange(rank=adapter.rank, scale=scale, factors=factors, whole=whole)


def factorise(
    change: Float[Tensor, "rows columns"], rank: int, scale: float
) -> tuple[Float[Tensor, "rows rank"], Float[Tensor, "rank columns"]]:
    """(left, right) in fp32 with scale * left @ right the nearest matrix of this rank; both of equal size.

    Of a large matrix the result is exact if that has the rank, and else near.

    Args:
        change: in float64.
        rank: any; columns beyond the matrix's own size are 0.
        scale: above 0.
    """
    width = min(rank + _MORE, *change.shape)
    if min(change.shape) <= _SMALL:
        u, s, v_transposed = torch.linalg.svd(change, full_matrices=False)
        v = v_transposed.T
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            u, s, v = torch.svd_lowrank(change, q=width, niter=_ROUNDS)
    kept = min(rank, *change.shape)
    root = (s[:kept] / scale).sqrt()
    left = torch.zeros(change.shape[0], rank, dtype=change.dtype)
    right = torch.zeros(rank, change.shape[1], dtype=change.dtype)
    left[:, :kept], right[:kept] = u[:, :kept] * root, (v[:, :kept] * root).T
    return left.float(), right.float()


def _is_saved(name: str, adapter: LoraAdapter) -> bool:
    return any(f".{saved}." in f".{name}" for saved in adapter.modules_to_save)
