"""L1 to theta_0 as a proximal step after the optimiser's.

The step is the proximal operator of tau * |theta - theta_0|_1 with tau = lr_t * strength (soft thresholding around
theta_0, Parikh and Boyd 2014, section 6.5.2):

    theta <- min(max(theta_0, theta - tau), theta + tau) = clamp(theta_0, theta - tau, theta + tau)

Every weight moves by at most tau towards theta_0 and stops there. tau = 0 changes no bit, |theta - theta_0| <= tau
gives theta_0 to the bit, and so does any large tau; the step is stable for every tau. Adam moves a weight by about lr
per step, so a strength of 1 or more freezes the model: useful strengths are 1e-3 to 1, on a log scale.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from rayforget.space.penalty import Needs, Span, UsefulStrengths
from rayforget.train.penalties.hooks import Hooks, Penalty, Training

if TYPE_CHECKING:
    from torch import Tensor

_PIECE = 2**18
"""Weights handled at a time on a CPU: 1 MiB, so that the bounds stay in the cache and only theta and theta_0 move."""


class L1Penalty(Penalty):
    """strength * |theta - theta_0|_1 as a proximal step after the optimiser's; useful strengths: log 1e-3 to 1."""

    kind: Literal["l1"]

    instead_with_lora = "kind: l1_coupled (on another scale of strengths)"

    def needs(self, *, lora: bool) -> Needs:
        """theta_0."""
        return Needs(theta_0=True)

    def useful_strengths(self, learning_rate_sums: Span) -> UsefulStrengths:
        """Strengths below what undoes Adam's steps, whatever the learning rate."""
        return UsefulStrengths(
            low=1e-3,
            high=1.0,
            too_strong="freezes the model: a strength of 1 undoes Adam's steps",
            partly="goes beyond 1, from where it freezes the model",
        )

    def prepare(self, training: Training) -> "L1Hooks":
        """Sets up the proximal step on every trained weight."""
        return L1Hooks(training, self.strength)


class L1Hooks(Hooks):
    """Moves the weights after every step."""

    def __init__(self, training: Training, strength: float) -> None:
        from rayforget.train.penalties.fused import Proximal

        self.weights, self.start = training.weights, list(training.start.values())
        self._strength = strength
        self._proximal = Proximal("l1", lambda weights, starts, _, tau: l1_proximal_step(weights, starts, tau))

    def after_step(self, learning_rate: float) -> None:
        """Takes the step with tau = learning rate * strength."""
        from rayforget.train.sharding import own_shares

        self._proximal.take(own_shares(self.weights.values()), self.start, [], learning_rate * self._strength)


def l1_proximal_step(weights: "list[Tensor]", theta_0: "list[Tensor]", tau: float) -> None:
    """Moves every weight by at most tau towards its theta_0, in place.

    Args:
        weights: any shapes, changed in place.
        theta_0: the same shapes and devices.
        tau: learning rate of the step times strength, >= 0.
    """
    import torch

    if tau == 0 or not weights:
        return
    with torch.no_grad():
        if weights[0].device.type == "cpu":
            for weight, start in zip(weights, theta_0, strict=True):
                for piece, target in zip(pieces(weight), pieces(start), strict=True):
                    torch.clamp(target, piece - tau, piece + tau, out=piece)
        else:
            few_kernels_step(weights, theta_0, tau)


def few_kernels_step(weights: "list[Tensor]", theta_0: "list[Tensor]", tau: float) -> None:
    """The same to the bit, in four kernels for all tensors together: for devices whose launches cost most."""
    import torch

    with torch.no_grad():
        upper = torch._foreach_add(weights, tau)
        torch._foreach_sub_(weights, tau)
        torch._foreach_maximum_(weights, theta_0)
        torch._foreach_minimum_(weights, upper)


def pieces(tensor: "Tensor") -> "Iterator[Tensor]":
    """Views of consecutive rows, with about `_PIECE` elements each."""
    if tensor.numel() <= _PIECE:
        return iter((tensor,))
    import torch

    return iter(torch.split(tensor, max(1, _PIECE * tensor.shape[0] // tensor.numel())))
