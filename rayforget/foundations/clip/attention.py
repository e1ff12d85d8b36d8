"""open_clip's fused attention -> an equal module whose q, k, v and output projections are plain Linears, and back.

LoRA needs projections that it can wrap, and peft's own layer for nn.MultiheadAttention drifts the base weights. The
module computes the same as nn.MultiheadAttention, to the last bit if that takes its ordinary path (its fused inference
path differs by about 1e-6):

    out = softmax(q k^T / sqrt(d) + mask) v @ W_out^T + b_out,    q, k, v = x @ W_{q,k,v}^T + b_{q,k,v}

The names map exactly both ways: in_proj_weight = cat(q_proj.weight, k_proj.weight, v_proj.weight), in_proj_bias alike.
Towers without nn.MultiheadAttention (ResNets, timm's and transformers' models) stay as they are.

Shape suffixes: N batch, L queries, S keys, E width, H heads, D = E / H.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn

from rayforget.errors import FoundationError

_PARTS = ("q_proj", "k_proj", "v_proj")


@dataclass(frozen=True, slots=True, kw_only=True)
class SwappedAttention:
    """One swapped attention: its tensors' names without the swap."""

    name: str
    """Name of the attention module, e.g. `visual.transformer.resblocks.0.attn`."""
    packed: bool
    """Whether q, k and v share one `in_proj_weight`, or (keys of another width) have `q_proj_weight` and so on."""


class SplitAttention(nn.Module):
    """Replaces an nn.MultiheadAttention; takes the arguments that open_clip's blocks pass."""

    q_proj: nn.Linear
    k_proj: nn.Linear
    v_proj: nn.Linear

    def __init__(self, fused: nn.MultiheadAttention) -> None:
        super().__init__()
        if fused.in_proj_bias is None or fused.bias_k is not None or fused.add_zero_attn:
            raise FoundationError(
                "an attention without bias, or with an extra key (bias_k, add_zero_attn), cannot be swapped exactly; "
                "open_clip builds none: use a model of open_clip's own layers"
            )
        self.num_heads, self.batch_first, self.dropout = fused.num_heads, fused.batch_first, fused.dropout
        self.packed = fused.in_proj_weight is not None
        weights = fused.in_proj_weight.chunk(3) if self.packed else _separate_weights(fused)
        for name, weight, bias in zip(_PARTS, weights, fused.in_proj_bias.chunk(3), strict=True):
            self.add_module(name, _linear(weight, bias, fused.in_proj_bias.requires_grad))
        self.out_proj = _linear(fused.out_proj.weight, fused.out_proj.bias, fused.out_proj.weight.requires_grad)
        self.train(fused.training)

    def forward(
        self,
        query: Float[Tensor, "n l e"],
        key: Float[Tensor, "n s ek"],
        value: Float[Tensor, "n s ev"],
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
    ) -> tuple[Float[Tensor, "n l e"], None]:
        """Attention of `query` to `key`; the batch is the second axis if the fused module had batch_first=False.

        Args:
            query: the queries.
            key: the keys.
            value: the values.
            need_weights: must be False, as in open_clip's blocks.
            attn_mask: (L, S) or (N * H, L, S); added to the logits, or boolean with True for a hidden key.
        """
        if need_weights:
            raise FoundationError("the swapped attention returns no weights; call it with need_weights=False")
        if not self.batch_first:
            query, key, value = (x.transpose(0, 1) for x in (query, key, value))
        q_NHLD, k_NHSD, v_NHSD = (  # noqa: N806
            projection(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for projection, x in ((self.q_proj, query), (self.k_proj, key), (self.v_proj, value))
        )
        out_NHLD = F.scaled_dot_product_attention(  # noqa: N806
            q_NHLD,
            k_NHSD,
            v_NHSD,
            attn_mask=self._mask(attn_mask, q_NHLD),
            dropout_p=self.dropout if self.training else 0.0,
        )
        out = self.out_proj(out_NHLD.transpose(1, 2).flatten(2))
        return (out if self.batch_first else out.transpose(0, 1)), None

    def _mask(self, mask: Tensor | None, query: Tensor) -> Tensor | None:
        if mask is None:
            return None
        if mask.ndim == 3:
            mask = mask.view(-1, self.num_heads, *mask.shape[1:])
        return ~mask if mask.dtype == torch.bool else mask.to(query.dtype)


def swap_attention(module: nn.Module) -> tuple[SwappedAttention, ...]:
    """Replaces, in place, every nn.MultiheadAttention below `module`; draws no random numbers.

    Returns:
        The swapped modules, in the module's order, for `fused_names` and `split_names`.
    """
    swapped = []
    for name, part in list(module.named_modules()):
        if isinstance(part, nn.MultiheadAttention):
            parent, _, attribute = name.rpartition(".")
            split = SplitAttention(part)
            setattr(module.get_submodule(parent), attribute, split)
            swapped.append(SwappedAttention(name=name, packed=split.packed))
    return tuple(swapped)


def split_names(state: Mapping[str, Tensor], swapped: tuple[SwappedAttention, ...]) -> dict[str, Tensor]:
    """Names before the swap -> names after it; values are unchanged, and q, k and v are views of the packed tensors."""
    result = dict(state)
    for attention in swapped:
        for fused, parts in _fused_to_parts(attention).items():
            if fused in result:
                result.update(zip(parts, result.pop(fused).chunk(len(parts)), strict=True))
    return result


def fused_names(state: Mapping[str, Tensor], swapped: tuple[SwappedAttention, ...]) -> dict[str, Tensor]:
    """Names after the swap -> names before it, the inverse of `split_names`; packed tensors are new.

    Raises:
        FoundationError: some of q, k and v are missing, but not all.
    """
    result = dict(state)
    for attention in swapped:
        for fused, parts in _fused_to_parts(attention).items():
            missing = [part for part in parts if part not in result]
            if not missing:
                result[fused] = torch.cat([result.pop(part) for part in parts])
            elif len(missing) < len(parts):
                raise FoundationError(f"{fused} needs q, k and v together, but {', '.join(missing)} is missing")
    return result


def _fused_to_parts(attention: SwappedAttention) -> dict[str, tuple[str, ...]]:
    names = [f"{attention.name}.{part}" for part in _PARTS]
    biases = {f"{attention.name}.in_proj_bias": tuple(f"{name}.bias" for name in names)}
    if attention.packed:
        return {f"{attention.name}.in_proj_weight": tuple(f"{name}.weight" for name in names)} | biases
    return {f"{name}_weight": (f"{name}.weight",) for name in names} | biases


def _separate_weights(fused: nn.MultiheadAttention) -> tuple[Tensor, ...]:
    return fused.q_proj_weight, fused.k_proj_weight, fused.v_proj_weight


def _linear(weight: Tensor, bias: Tensor, requires_grad: bool) -> nn.Linear:
    """A Linear with copies of these values; made on the meta device, so that no random numbers are drawn."""
    linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    linear.weight = nn.Parameter(weight.detach().clone(), requires_grad=requires_grad)
    linear.bias = nn.Parameter(bias.detach().clone(), requires_grad=requires_grad)
    return linear
