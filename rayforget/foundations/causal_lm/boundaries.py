"""Attention within the boundaries of a flat row's sequences, for transformers' attention interface.

    out_i = sum_j softmax_j(c tanh(scale q_i k_j / c)) v_j,    j <= i of the same sequence, and j > i - window

without the cap c, or without the window, where a model has none. A model is given the boundaries as flash attention's
`cu_seq_lens_q`, which its layers hand on; none of its masks is used. `varlen` is torch's flash attention for sequences
of varying lengths, `plain` the equation above, sequence by sequence, on any device.

Shape suffixes: H heads, K heads of keys and values, T tokens, D = width of a head.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.varlen import varlen_attn

Kernel = Literal["varlen", "plain"]
_REFUSED = ("position_bias", "s_aux", "head_mask")
"""What layers of some models add to attention, and these kernels do not compute."""
_SHARES_KEYS = "enable_gqa" in inspect.signature(varlen_attn).parameters
"""Whether several queries' heads may share a key's; from torch 2.12 on. Not asked in a layer, which may be compiled."""


def use_boundaries(lm: nn.Module, kernel: Kernel) -> None:
    """Makes a model of transformers attend by this kernel, in place; its forward then needs boundaries.

    Raises:
        ValueError: the model does not let its attention be chosen.
    """
    from transformers import AttentionInterface

    for name, attend in _KERNELS.items():
        AttentionInterface.register(_named(name), attend)
    lm.set_attn_implementation(_named(kernel))  # type: ignore[operator]
    if lm.config._attn_implementation != _named(kernel):  # type: ignore[union-attr]
        raise ValueError(f"{type(lm).__name__} does not let its attention be chosen")


def boundary_arguments(boundaries: Int[Tensor, " n"], longest: int) -> dict[str, Any]:
    """A forward's keyword arguments that tell its layers the boundaries.

    Args:
        boundaries: where sequences start, ascending, and the row's length last; int32.
        longest: tokens of the longest sequence that may ever come, so that it is the same in every batch.
    """
    return {
        "cu_seq_lens_q": boundaries,
        "cu_seq_lens_k": boundaries,
        "max_length_q": longest,
        "max_length_k": longest,
    }


def _varlen(
    module: nn.Module,
    query: Float[Tensor, "1 h t d"],
    key: Float[Tensor, "1 k t d"],
    value: Float[Tensor, "1 k t d"],
    attention_mask: Tensor | None = None,
    **asked: Any,
) -> tuple[Float[Tensor, "1 t h d"], None]:
    boundaries = _checked(module, attention_mask, asked)
    if asked.get("softcap") is not None:
        raise ValueError("varlen attention caps no logits")
    dtype = _half(query)
    q_THD, k_TKD, v_TKD = (x[0].transpose(0, 1).to(dtype) for x in (query, key, value))  # noqa: N806
    further: dict[str, Any] = {}
    if q_THD.shape[1] != k_TKD.shape[1]:
        if _SHARES_KEYS:
            further["enable_gqa"] = True
        else:  # torch 2.11
            times = q_THD.shape[1] // k_TKD.shape[1]
            k_TKD, v_TKD = (x.repeat_interleave(times, dim=1) for x in (k_TKD, v_TKD))  # noqa: N806
    window = asked.get("sliding_window")
    # cuDNN, which it may prefer, builds a plan of seconds for each new shape.
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        out_THD: Any = varlen_attn(  # noqa: N806
            q_THD.contiguous(),
            k_TKD.contiguous(),
            v_TKD.contiguous(),
            boundaries,
            boundaries,
            asked["max_length_q"],
            asked["max_length_q"],
            scale=asked.get("scaling"),
            window_size=(-1 if window is None else window - 1, 0),
            **further,
        )
    return out_THD[None], None


def _plain(
    module: nn.Module,
    query: Float[Tensor, "1 h t d"],
    key: Float[Tensor, "1 k t d"],
    value: Float[Tensor, "1 k t d"],
    attention_mask: Tensor | None = None,
    **asked: Any,
) -> tuple[Float[Tensor, "1 t h d"], None]:
    boundaries = _checked(module, attention_mask, asked)
    times = query.shape[1] // key.shape[1]
    q_HTD, k_HTD, v_HTD = query[0], key[0].repeat_interleave(times, dim=0), value[0].repeat_interleave(times, dim=0)  # noqa: N806
    scaling, cap, window = asked.get("scaling"), asked.get("softcap"), asked.get("sliding_window")
    scale = 1 / math.sqrt(q_HTD.shape[-1]) if scaling is None else scaling
    found = []
    for start, end in zip(boundaries.tolist()[:-1], boundaries.tolist()[1:], strict=True):
        logits = (q_HTD[:, start:end] @ k_HTD[:, start:end].transpose(1, 2)).float() * scale
        if cap is not None:
            logits = cap * torch.tanh(logits / cap)
        distance = torch.arange(end - start, device=query.device)
        distance = distance[:, None] - distance[None, :]
        visible = distance >= 0 if window is None else (distance >= 0) & (distance < window)
        weights = logits.masked_fill(~visible, -math.inf).softmax(dim=-1)
        found.append(weights.to(v_HTD.dtype) @ v_HTD[:, start:end])
    return torch.cat(found, dim=1).transpose(0, 1)[None], None


_KERNELS: dict[Kernel, Callable[..., Any]] = {"varlen": _varlen, "plain": _plain}


def _named(kernel: Kernel) -> str:
    return f"rayforget_{kernel}"


def _checked(module: nn.Module, mask: Tensor | None, asked: dict[str, Any]) -> Int[Tensor, " n"]:
    """The boundaries; raises ValueError if the layer computes something else than causal attention within them."""
    boundaries: Tensor | None = asked.get("cu_seq_lens_q")
    causal = asked.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal
    further = [name for name in _REFUSED if asked.get(name) is not None]
    if boundaries is None:
        raise ValueError("its layers do not hand boundaries on")
    if mask is not None or not causal or asked.get("dropout") or further:
        raise ValueError(f"its attention is not only causal ({', '.join(further) or 'a mask, or dropout'})")
    return boundaries


def _half(query: Tensor) -> torch.dtype:
    """The type to attend in: autocast leaves rotated queries in fp32, and flash attention takes none."""
    kind = query.device.type
    if query.dtype == torch.float32 and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return query.dtype
