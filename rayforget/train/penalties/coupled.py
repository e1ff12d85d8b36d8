"""The common part of the penalties inside the loss, whose gradients are added before clipping and Adam.

For a LoRA the penalised weights are the merged ones, whose distance from theta_0 is dW = scale * B @ A, with B of shape
(out, r) and A of shape (r, in): a penalty's gradient reaches A and B by the chain rule.

These gradients pass through Adam's scaling, so the strengths have a scale of their own: grids for the proximal forms do
not carry over.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rayforget.train.penalties.hooks import Hooks, Training

if TYPE_CHECKING:
    from torch import Tensor

    from rayforget.train.lora import LoraFactors


class CoupledHooks(Hooks):
    """Adds to the gradients of whole weights and of a LoRA's factors; a subclass defines what."""

    def __init__(self, training: Training, strength: float) -> None:
        self._weights: Mapping[str, Tensor] = training.weights
        self._start: list[Tensor] = list(training.start.values())
        self._factors: Sequence[LoraFactors] = training.factors
        self._strength = strength

    def directions(self, distances: "list[Tensor]") -> "list[Tensor]":
        """d penalty / d theta at strength 1, from theta - theta_0, which may be overwritten; same shapes."""
        raise NotImplementedError

    def factor_directions(self, a: "Tensor", b: "Tensor", scale: float) -> "tuple[Tensor, Tensor, float]":
        """(d / dB, d / dA, factor) at strength 1; both lack the factor and have the shapes of B and A."""
        raise NotImplementedError

    def before_clip(self) -> None:
        """Adds strength times the directions to the gradients."""
        import torch

        from rayforget.train.sharding import own_shares, sharded_like, whole

        if self._start:
            weights = list(self._weights.values())
            distances = list(torch._foreach_sub(own_shares(weights), self._start))
            torch._foreach_add_([_grad(weight) for weight in weights], self.directions(distances), alpha=self._strength)
        for lora in self._factors:
            if lora.magnitude is not None:
                self._pull_lengths_too(lora)
                continue
            towards_b, towards_a, factor = self.factor_directions(whole(lora.a), whole(lora.b), lora.scale)
            _grad(lora.b).add_(sharded_like(towards_b, lora.b), alpha=self._strength * factor)
            _grad(lora.a).add_(sharded_like(towards_a, lora.a), alpha=self._strength * factor)

    def _pull_lengths_too(self, lora: "LoraFactors") -> None:
        """DoRA's merged weight is not linear in its factors: the chain rule runs through the merge itself."""
        import torch

        from rayforget.train.sharding import sharded_like, whole

        assert lora.base is not None
        start = whole(lora.base.detach())
        with torch.enable_grad():
            factors = [whole(factor.detach()).requires_grad_() for factor in lora.trained]
            merged = lora.merged(start, *factors)
            (direction,) = self.directions([merged.detach() - start])
            gradients = torch.autograd.grad(merged, factors, direction)
        for factor, gradient in zip(lora.trained, gradients, strict=True):
            _grad(factor).add_(sharded_like(gradient, factor), alpha=self._strength)


def _grad(weight: "Tensor") -> "Tensor":
    from rayforget.train.sharding import own_share

    if weight.grad is None:
        raise RuntimeError(f"a trained weight of shape {tuple(weight.shape)} has no gradient; call after backward()")
    return own_share(weight.grad)
