"""QLoRA (Dettmers et al. 2023): linear layers in 4 bits (NF4, through bitsandbytes) under an adapter that is not.

    W ~ W4 = m * c[i],   m the largest |w| of each block of 64 weights, c the 16 values of NF4, i the nearest to w / m

Adapters are trained on W4. theta_1 is W + s * B @ A, merged into the full-precision base, which lies beside the layer
in the host's memory. W4 + s * B @ A, the model that was trained, is scored too, for the record.
"""

import logging
import math
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from rayforget.extensions.extras import need

_BLOCK = 64


class _In4Bits(nn.Module):
    """Takes the place of a linear layer's own class; its weight is read as the 4 bits say."""

    packed: Tensor
    """Two weights in each byte, the last block filled with zeros."""
    absmax: Tensor
    """m of each block."""
    full: Tensor
    """W, on the CPU in fp32; no parameter, so that it stays there."""
    stored_transposed: bool

    @property
    def weight(self) -> Tensor:
        """W4 in fp32, in W's shape; made anew at each reading."""
        functional = _functional()
        count = 2 * self.packed.numel()
        state = functional.QuantState(
            absmax=self.absmax,
            shape=torch.Size([count]),
            dtype=torch.float32,
            blocksize=_BLOCK,
            code=functional.get_4bit_type("nf4", device=self.absmax.device),
            quant_type="nf4",
        )
        flat: Tensor = functional.dequantize_4bit(self.packed, state)
        return flat.view(-1)[: self.full.numel()].view(self.full.shape)

    def forward(self, x: Tensor) -> Tensor:
        """x @ W4^T + bias, in autocast's type where that is on."""
        device = x.device.type
        if torch.is_autocast_enabled(device):
            x = x.to(torch.get_autocast_dtype(device))
        found = cast(Tensor, _Product.apply(x, self))
        bias = cast(Tensor | None, self.bias)
        return found if bias is None else found + bias.to(found.dtype)


class _Product(torch.autograd.Function):
    """x @ W4^T, which keeps the 4 bits for the backward and not the weight that they give."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: _In4Bits) -> Tensor:
        ctx.layer = layer
        weight = layer.weight.to(x.dtype)
        return x @ weight if layer.stored_transposed else F.linear(x, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        weight = ctx.layer.weight.to(gradient.dtype)
        return gradient @ (weight.T if ctx.layer.stored_transposed else weight), None


def put_in_4_bits(module: nn.Module, names: list[str], device: torch.device) -> None:
    """Changes these linear layers in place; their packed weights lie on the device.

    Raises:
        MissingExtraError: bitsandbytes is not installed.
    """
    need("bitsandbytes", "adapter.base: nf4")
    for name in names:
        part: Any = module.get_submodule(name)
        weight = part.weight.detach()
        packed, absmax = _quantised(weight.to(device, torch.float32))
        del part.weight
        part.__class__ = _in_4_bits(cast(Any, type(part)))
        part.stored_transposed = not isinstance(part, nn.Linear)  # transformers' Conv1D
        part.full = weight.to("cpu", torch.float32)
        part.register_buffer("packed", packed, persistent=False)
        part.register_buffer("absmax", absmax, persistent=False)


def layers_in_4_bits(module: nn.Module) -> Iterator[tuple[str, _In4Bits]]:
    """The layers that `put_in_4_bits` changed, with their names."""
    for name, part in module.named_modules():
        if isinstance(part, _In4Bits):
            yield name, part


def _quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(packed, absmax) of a weight of any shape."""
    flat = weight.reshape(-1)
    flat = F.pad(flat, (0, math.ceil(flat.numel() / _BLOCK) * _BLOCK - flat.numel()))
    packed, state = _functional().quantize_4bit(flat, blocksize=_BLOCK, quant_type="nf4")
    return packed, state.absmax


@cache
def _in_4_bits(kind: Any) -> Any:
    return type(f"{kind.__name__}In4Bits", (_In4Bits, kind), {})


@cache
def _functional() -> Any:
    """bitsandbytes' functions; on import it would fetch and run a kernel from the hub if `kernels` is installed."""
    logger = logging.getLogger("bitsandbytes")
    level, installed = logger.level, sys.modules.get("kernels")
    logger.setLevel(logging.ERROR)
    sys.modules["kernels"] = None  # type: ignore[assignment]
    try:
        import bitsandbytes.functional
    finally:
        logger.setLevel(level)
        del sys.modules["kernels"]
        if installed is not None:
            sys.modules["kernels"] = installed
    return bitsandbytes.functional
