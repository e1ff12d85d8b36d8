"""Linear layers in fp32 on a CPU -> the same by oneDNN, which is faster than MKL on processors that are not Intel's.

torch multiplies fp32 matrices on the CPU with MKL. On an AMD EPYC (Zen 4) that gave 75 to 88 GFLOP/s per core for a
model of 20 M parameters and rows of 512 to 1024 tokens, oneDNN 93 to 102. Results differ by rounding alone.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class OneDnnLinear(TorchFunctionMode):
    """Within, `torch.nn.functional.linear` of fp32 tensors on the CPU is oneDNN's; nothing else changes.

    It has no backward: for `torch.no_grad` and `torch.inference_mode` alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self._multiply: Callable[..., Tensor] | None = None
        if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            self._multiply = getattr(torch.ops.mkldnn, "_linear_pointwise", None)

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is functional.linear and self._multiply is not None and not kwargs and _is_ours(*args):
            inputs, weight, *bias = args
            return self._multiply(inputs, weight, bias[0] if bias else None, "none", [], "")
        return func(*args, **(kwargs or {}))


def _is_ours(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> bool:
    tensors = [inputs, weight] if bias is None else [inputs, weight, bias]
    return not torch.is_grad_enabled() and all(
        each.dtype == torch.float32 and each.device.type == "cpu" and each.numel() > 0 for each in tensors
    )
