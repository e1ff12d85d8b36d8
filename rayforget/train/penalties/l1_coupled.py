"""L1 to theta_0 inside the loss, as the papers have it.

    strength * |theta - theta_0|_1          gradient  strength * sign(theta - theta_0), 0 at theta_0

Through a LoRA's dW = scale * B @ A:

    dB = strength * scale * sign(dW) A^T    dA = strength * scale * B^T sign(dW)
"""

from typing import TYPE_CHECKING, Literal

from rayforget.space.penalty import Needs
from rayforget.train.penalties.coupled import CoupledHooks
from rayforget.train.penalties.hooks import Penalty, Training

if TYPE_CHECKING:
    from torch import Tensor


class CoupledL1Penalty(Penalty):
    """strength * |theta - theta_0|_1 inside the loss, as the papers have it; passes through Adam's scaling."""

    kind: Literal["l1_coupled"]

    def needs(self, *, lora: bool) -> Needs:
        """theta_0; a LoRA's distance from it follows from its factors, and the other trained weights are small."""
        return Needs(theta_0=True)

    def prepare(self, training: Training) -> "CoupledL1Hooks":
        """Sets up the gradient on every trained weight and adapter."""
        return CoupledL1Hooks(training, self.strength)


class CoupledL1Hooks(CoupledHooks):
    """Adds the gradient before clipping."""

    def directions(self, distances: "list[Tensor]") -> "list[Tensor]":
        """Signs of the distances, in place."""
        import torch

        torch._foreach_sign_(distances)
        return distances

    def factor_directions(self, a: "Tensor", b: "Tensor", scale: float) -> "tuple[Tensor, Tensor, float]":
        """From the signs of dW."""
        sign = (b @ a).sign()
        return sign @ a.T, b.T @ sign, scale
