"""L1 and L2 to theta_0 inside the loss, as the papers have them: their gradients, added before clipping and Adam.

    L2:  strength / 2 * |theta - theta_0|^2   gradient  strength * (theta - theta_0)
    L1:  strength * |theta - theta_0|_1       gradient  strength * sign(theta - theta_0), 0 at theta_0

For a LoRA the weights in question are the merged ones, whose distance from theta_0 is dW = scale * B @ A, with B of
shape (out, r) and A of shape (r, in). Their gradients by the chain rule:

    L2:  dB = strength * scale^2 * B (A A^T)          dA = strength * scale^2 * (B^T B) A
    L1:  dB = strength * scale * sign(dW) A^T         dA = strength * scale * B^T sign(dW)

The L2 form needs only the r x r Gram matrices. These gradients pass through Adam's scaling, so the strengths have a
scale of their own: no grid carries over from the proximal forms. strength 0 adds nothing.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from rayforget.train.lora import LoraFactors
from rayforget.train.sharding import own_share, own_shares, sharded_like, whole

Norm = Literal["l1", "l2"]


@torch.no_grad()
def add_coupled_gradient(weights: list[Tensor], theta_0: list[Tensor], strength: float, norm: Norm) -> None:
    """Adds the penalty's gradient to each weight's `.grad`, which must be there.

    Args:
        weights: trained tensors of any shapes.
        theta_0: the same shapes.
        strength: >= 0.
        norm: which of the two penalties.
    """
    if strength == 0 or not weights:
        return
    direction = torch._foreach_sub(own_shares(weights), own_shares(theta_0))
    if norm == "l1":
        torch._foreach_sign_(direction)
    torch._foreach_add_([_grad(weight) for weight in weights], direction, alpha=strength)


@torch.no_grad()
def add_coupled_lora_gradient(factors: Sequence[LoraFactors], strength: float, norm: Norm) -> None:
    """Adds the penalty's gradient through dW = scale * B @ A to the factors' `.grad`, which must be there."""
    if strength == 0:
        return
    for lora in factors:
        a, b, scale = whole(lora.a), whole(lora.b), lora.scale
        if norm == "l2":
            towards_b, towards_a, weight = b @ (a @ a.T), (b.T @ b) @ a, strength * scale**2
        else:
            sign = torch.sign(b @ a)
            towards_b, towards_a, weight = sign @ a.T, b.T @ sign, strength * scale
        _grad(lora.b).add_(sharded_like(towards_b, lora.b), alpha=weight)
        _grad(lora.a).add_(sharded_like(towards_a, lora.a), alpha=weight)


def _grad(weight: Tensor) -> Tensor:
    if weight.grad is None:
        raise RuntimeError(f"a trained weight of shape {tuple(weight.shape)} has no gradient; call after backward()")
    return own_share(weight.grad)
