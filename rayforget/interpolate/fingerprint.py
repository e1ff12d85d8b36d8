"""Tensors -> 64 bits each, made where they lie: whether two devices hold the same bits is told without copying weights.

With bits_i the 32 bits of number i as an integer, in rows of W numbers,

    f = sum over rows r of c_r * sum over columns j of w_j * bits_rj   modulo 2^64

with odd factors c_r and w_j, w_j drawn at random. Sums of integers do not depend on their order, so every device gets
the same. A single number that differs always shows, since an odd factor times less than 2^32 is not 0 modulo 2^64;
several hide each other with a chance of about 2^-64. It guards against rounding, not against forgery: models are named
by `state_hash`.
"""

from collections.abc import Mapping
from functools import lru_cache

import torch
from jaxtyping import Int
from torch import Tensor

_WIDTH = 2**16
_ROWS_AT_ONCE = {"cpu": 2**4, "cuda": 2**9}
"""By device: 8 MiB of 64-bit integers stay in a CPU's cache, 256 MiB are few launches on a GPU."""
_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
"""2^64 over the golden ratio, as a signed number: consecutive rows get factors far apart."""


@torch.inference_mode()
def fingerprint(state: Mapping[str, Tensor]) -> Int[Tensor, " n"]:
    """One number for each tensor, by sorted name, on their device.

    Args:
        state: name -> fp32 tensor of any shape, all on one device.
    """
    return torch.stack([_of(state[name]) for name in sorted(state)]) if state else torch.zeros(0, dtype=torch.int64)


def _of(tensor: Tensor) -> Tensor:
    bits = tensor.detach().contiguous().flatten().view(torch.int32)
    factors, whole = _factors(bits.device), len(bits) // _WIDTH
    step = _ROWS_AT_ONCE["cuda" if bits.device.type == "cuda" else "cpu"]
    total = torch.zeros((), dtype=torch.int64, device=bits.device)
    for first in range(0, whole, step):
        last = min(first + step, whole)
        rows = bits[first * _WIDTH : last * _WIDTH].view(-1, _WIDTH).to(torch.int64)
        numbers = torch.arange(first, last, device=bits.device)
        total += (rows.mul_(factors).sum(dim=1) * (numbers * _GOLDEN | 1)).sum()
    rest = bits[whole * _WIDTH :].to(torch.int64)
    return total + (rest * factors[: len(rest)]).sum() * _signed(whole * _GOLDEN | 1)


@lru_cache(maxsize=8)
def _factors(device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(-(2**62), 2**62, (_WIDTH,), generator=generator)
    return (drawn * 2 + 1).to(device)


def _signed(number: int) -> int:
    """The number modulo 2^64, as a signed one of 64 bits."""
    return (number + 2**63) % 2**64 - 2**63
