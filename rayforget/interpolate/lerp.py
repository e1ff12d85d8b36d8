"""theta_0, theta_1, alpha -> theta_alpha: linear interpolation of weights (WiSE-FT, Wortsman et al. 2022).

    theta(alpha) = (1 - alpha) * theta_0 + alpha * theta_1,   computed as torch.lerp(theta_0, theta_1, alpha) in fp32

torch.lerp is exact at both ends and leaves equal weights equal for every alpha; (1 - a) * x + a * y changes the bits of
about a tenth of the unchanged weights, and x + a * (y - x) misses y at a = 1. alpha outside [0, 1] extrapolates. Every
model is made from theta_0 and theta_1, never from the previous alpha.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from rayforget.errors import FoundationError


def changed_tensors(theta_0: Mapping[str, Tensor], theta_1: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of theta_1 that differ from theta_0 in at least one bit.

    Raises:
        FoundationError: names or shapes differ.
    """
    if theta_0.keys() != theta_1.keys():
        odd = sorted(theta_0.keys() ^ theta_1.keys())
        raise FoundationError(f"theta_0 and theta_1 do not hold the same tensors; only one has: {', '.join(odd[:5])}")
    return {name: tensor for name, tensor in theta_1.items() if not _same(theta_0[name], tensor, name)}


def lerp(theta_0: Mapping[str, Tensor], theta_1: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """theta(alpha) of the tensors in `theta_1`.

    Args:
        theta_0: fp32 tensors; may hold more names than `theta_1`.
        theta_1: fp32 tensors of the same shapes and on the same devices.
        alpha: 0 gives theta_0 and 1 gives theta_1, to the bit.

    Returns:
        The names of `theta_1` -> new tensors.

    Raises:
        FoundationError: a name or a shape of theta_1 is not in theta_0, or a tensor is not fp32.
    """
    return lerp_each(theta_0, theta_1, dict.fromkeys(theta_1, alpha))


def lerp_each(
    theta_0: Mapping[str, Tensor], theta_1: Mapping[str, Tensor], alphas: Mapping[str, float]
) -> dict[str, Tensor]:
    """Like `lerp`, with an alpha for each name of `theta_1`."""
    result = {}
    for name, end in theta_1.items():
        if name not in theta_0 or theta_0[name].shape != end.shape:
            raise FoundationError(f"theta_1 holds {name} of shape {tuple(end.shape)}, which theta_0 does not")
        start = theta_0[name]
        if start.dtype != torch.float32 or end.dtype != torch.float32:
            raise FoundationError(f"{name} is {start.dtype} and {end.dtype}; interpolation is done in torch.float32")
        result[name] = torch.lerp(start, end, alphas[name])
    return result


def _same(start: Tensor, end: Tensor, name: str) -> bool:
    if start.shape != end.shape:
        raise FoundationError(f"{name} has shape {tuple(start.shape)} in theta_0 and {tuple(end.shape)} in theta_1")
    return torch.equal(start, end)
