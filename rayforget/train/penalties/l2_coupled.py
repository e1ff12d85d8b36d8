"""L2 to theta_0 (L2-SP, Li et al. 2018) inside the loss, as the papers have it.

    strength / 2 * |theta - theta_0|^2      gradient  strength * (theta - theta_0)

Through a LoRA's dW = scale * B @ A the gradients need only the r x r Gram matrices:

    dB = strength * scale^2 * B (A A^T)     dA = strength * scale^2 * (B^T B) A
"""

from typing import TYPE_CHECKING, Literal

from rayforget.space.penalty import Needs
from rayforget.train.penalties.coupled import CoupledHooks
from rayforget.train.penalties.hooks import Penalty, Training

if TYPE_CHECKING:
    from torch import Tensor


class CoupledL2Penalty(Penalty):
    """strength / 2 * |theta - theta_0|^2 inside the loss, as the papers have it; passes through Adam's scaling."""

    kind: Literal["l2_coupled"]

    def needs(self, *, lora: bool) -> Needs:
        """theta_0; a LoRA's distance from it follows from its factors, and the other trained weights are small."""
        return Needs(theta_0=True)

    def prepare(self, training: Training) -> "CoupledL2Hooks":
        """Sets up the gradient on every trained weight and adapter."""
        return CoupledL2Hooks(training, self.strength)


class CoupledL2Hooks(CoupledHooks):
    """Adds the gradient before clipping."""

    def directions(self, distances: "list[Tensor]") -> "list[Tensor]":
        """theta - theta_0."""
        return distances

    def factor_directions(self, a: "Tensor", b: "Tensor", scale: float) -> "tuple[Tensor, Tensor, float]":
        """From the Gram matrices."""
        return b @ (a @ a.T), (b.T @ b) @ a, scale**2
