"""Huber's distance from theta_0 as a proximal step: L2 for weights that moved little, L1 for those that moved far.

With d = theta - theta_0 and tau = lr_t * strength, the proximal operator of tau * h(d), where h(d) = d^2 / 2 up to
|d| = width and width * (|d| - width / 2) beyond:

    d <- d / (1 + tau)                  where |d| <= width * (1 + tau)
    d <- d - tau * width * sign(d)      beyond
"""

from typing import Literal

import torch
from pydantic import PositiveFloat

from rayforget.space.penalty import Needs
from rayforget.train.penalties.hooks import Hooks, Penalty, Training
from rayforget.train.sharding import own_share


class HuberPenalty(Penalty):
    """strength * Huber(theta - theta_0) as a proximal step after the optimiser's."""

    kind: Literal["huber"]
    width: PositiveFloat
    """Distance from theta_0 up to which the penalty is L2."""

    instead_with_lora = "kind: l2_coupled"

    def needs(self, *, lora: bool) -> Needs:
        return Needs(theta_0=True)

    def prepare(self, training: Training) -> "HuberHooks":
        return HuberHooks(training, self)


class HuberHooks(Hooks):
    def __init__(self, training: Training, penalty: HuberPenalty) -> None:
        self._pairs = list(zip(training.weights.values(), training.start.values(), strict=True))
        self._penalty = penalty

    def after_step(self, learning_rate: float) -> None:
        for weight, start in self._pairs:
            own = own_share(weight.detach())
            own.copy_(start + huber_proximal(own - start, learning_rate * self._penalty.strength, self._penalty.width))


def huber_proximal(distance: torch.Tensor, tau: float, width: float) -> torch.Tensor:
    near = distance.abs() <= width * (1 + tau)
    return torch.where(near, distance / (1 + tau), distance - tau * width * distance.sign())
