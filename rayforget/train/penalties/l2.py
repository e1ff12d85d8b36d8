"""L2 to theta_0 (L2-SP, Li et al. 2018) as a proximal step after the optimiser's.

The step is the proximal operator of tau/2 * |theta - theta_0|^2 with tau = lr_t * strength (Parikh and Boyd 2014):

    theta <- (theta + tau * theta_0) / (1 + tau) = lerp(theta, theta_0, tau / (1 + tau))

tau = 0 changes no bit, tau -> infinity gives theta_0; the step is stable for every tau, while the explicit step theta -
tau * (theta - theta_0) diverges beyond tau = 2. Useful strengths lie around 1 / sum_t lr_t.
"""

from typing import TYPE_CHECKING, Literal

from rayforget.space.penalty import Needs, Span, UsefulStrengths
from rayforget.train.penalties.hooks import Hooks, Penalty, Training

if TYPE_CHECKING:
    from torch import Tensor

_WIDTH = 100.0
"""Useful strengths lie within this factor of 1 / (sum of the learning rates)."""


class L2Penalty(Penalty):
    """strength / 2 * |theta - theta_0|^2 as a proximal step; useful strengths: around 1 / sum of learning rates."""

    kind: Literal["l2"]

    instead_with_lora = "kind: l2_coupled (on another scale of strengths)"

    def needs(self, *, lora: bool) -> Needs:
        """theta_0."""
        return Needs(theta_0=True)

    def useful_strengths(self, learning_rate_sums: Span) -> UsefulStrengths:
        """Strengths at which a training's steps together move a weight some of its way to theta_0, but not all of
        it."""
        shortest, longest = learning_rate_sums
        return UsefulStrengths(
            low=1 / (longest * _WIDTH), high=_WIDTH / shortest, too_strong="leaves the model at theta_0"
        )

    def prepare(self, training: Training) -> "L2Hooks":
        """Sets up the proximal step on every trained weight."""
        return L2Hooks(training, self.strength)


class L2Hooks(Hooks):
    """Moves the weights after every step."""

    def __init__(self, training: Training, strength: float) -> None:
        self.weights, self.start = training.weights, list(training.start.values())
        self._strength = strength

    def after_step(self, learning_rate: float) -> None:
        """Takes the step with tau = learning rate * strength."""
        from rayforget.train.sharding import own_shares

        l2_proximal_step(own_shares(self.weights.values()), self.start, learning_rate * self._strength)


def l2_proximal_step(weights: "list[Tensor]", theta_0: "list[Tensor]", tau: float) -> None:
    """Moves every weight the share tau / (1 + tau) of its way to theta_0, in place.

    Args:
        weights: any shapes, changed in place.
        theta_0: the same shapes and devices.
        tau: learning rate of the step times strength, >= 0.
    """
    import torch

    if tau == 0:
        return
    with torch.no_grad():
        torch._foreach_lerp_(weights, theta_0, tau / (1 + tau))
