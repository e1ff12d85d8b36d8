"""Models run within a block -> run in a precision: fp32, TF32's products, or autocast to bf16 or fp16.

Weights stay fp32, as does what autocast leaves in fp32 (norms, softmax). Comparing features with classes, and turning
features into the logits of a vocabulary, cost little and decide most: under autocast they are computed by `finely`.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from rayforget.space.precision import FULL, ScoringPrecision

_CURRENT: ContextVar[ScoringPrecision] = ContextVar("precision", default=FULL)
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_NO_PLANS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""All kernels of attention but cuDNN's, which takes two seconds for a plan of each new shape with a mask."""


def current_precision() -> ScoringPrecision:
    """That of the `run_in` around the caller; fp32 outside of any."""
    return _CURRENT.get()


@contextmanager
def run_in(precision: ScoringPrecision, device: torch.device) -> Iterator[None]:
    """Models run within the block are run in this precision; the settings of before come back at its end."""
    token = _CURRENT.set(precision)
    try:
        if precision in _TYPES:
            attention = sdpa_kernel(_NO_PLANS) if device.type == "cuda" else nullcontext()
            with torch.autocast(device.type, dtype=_TYPES[precision]), attention:
                yield
        else:
            with _products(tf32=precision == "tf32"):
                yield
    finally:
        _CURRENT.reset(token)


@contextmanager
def finely(device: torch.device) -> Iterator[None]:
    """Within autocast: products of fp32, by TF32 where the device has it, which keeps fp16's bits and no rounded sums.

    In fp32 and TF32 it changes nothing. Inputs must be fp32.
    """
    if current_precision() not in _TYPES:
        yield
        return
    with torch.autocast(device.type, enabled=False), _products(tf32=True):
        yield


@contextmanager
def exactly(device: torch.device) -> Iterator[None]:
    """fp32, whatever is around it."""
    with torch.autocast(device.type, enabled=False), run_in(FULL, device):
        yield


@contextmanager
def _products(*, tf32: bool) -> Iterator[None]:
    """Whether a GPU's products of fp32 round their factors to TF32."""
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    products.allow_tf32, convolutions.allow_tf32 = tf32, tf32
    try:
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before
