"""Elastic weight consolidation (Kirkpatrick et al. 2017) as a proximal step after the optimiser's.

    penalty = strength / 2 * sum_i F_i (theta_i - theta_0i)^2

with F the diagonal of the empirical Fisher information at theta_0 on named data (`rayforget.train.fisher`), divided by
its mean over all trained weights: strengths then have the scale of L2's, for which F = 1 everywhere. The step is the
proximal operator with tau = lr_t * strength:

    theta <- lerp(theta, theta_0, w),   w = tau F / (1 + tau F)

w is computed in float64. tau = 0 changes no bit; tau -> infinity gives theta_0 where F > 0, and changes nothing where
F = 0.

The data for the Fisher information decides what is protected. The speciality's own training data protects the weights
that matter for what is about to be learnt anew; a general task's data protects those that matter for what must not be
lost. The training then also sees that task's `val`, on which points are chosen: read `test`.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PositiveInt

from rayforget.space.frozen import Frozen, Name, Problem
from rayforget.space.penalty import Needs, Span, UsefulStrengths
from rayforget.train.penalties.hooks import Hooks, Penalty, Training

if TYPE_CHECKING:
    from torch import Tensor

_WIDTH = 100.0
"""Useful strengths lie within this factor of 1 / (sum of the learning rates), like L2's, since F has mean 1."""
_LARGEST = 1e300
"""tau and tau F are capped here to stay finite: w is 1 from 1e16 on."""
_PIECE = {"cpu": 2**16, "cuda": 2**24}
"""Number of weights handled at a time, by device: their factors in float64 stay in a CPU's cache; on a GPU they take
384 MiB, and launches are few."""


class FisherData(Frozen):
    """The data that decides which weights matter."""

    task: Name
    """A task of the space."""
    split: Literal["train", "val"]
    """`train` of the speciality, or `val` of any task; never `test`, which only the report reads."""


class EwcPenalty(Penalty):
    """strength / 2 * sum of F (theta - theta_0)^2 as a proximal step, F the Fisher information with mean 1."""

    kind: Literal["ewc"]
    data: FisherData
    """Data for the Fisher information: the speciality's data protects what it changes, a general task's data what must
    not be lost."""
    samples: PositiveInt | None = None
    """Number of its items, spread evenly over the set; null takes all."""

    instead_with_lora = "kind: l2_coupled (which knows no Fisher information)"

    def needs(self, *, lora: bool) -> Needs:
        """theta_0, and the Fisher information of every trained weight."""
        return Needs(theta_0=True, further=1)

    def useful_strengths(self, learning_rate_sums: Span) -> UsefulStrengths:
        """The same as L2's, since F has mean 1."""
        shortest, longest = learning_rate_sums
        return UsefulStrengths(
            low=1 / (longest * _WIDTH), high=_WIDTH / shortest, too_strong="leaves what matters at theta_0"
        )

    def misfits(self, splits: Mapping[str, Collection[str]]) -> Iterable[Problem]:
        """A task or a split that the space does not have."""
        task, split = self.data.task, self.data.split
        if task not in splits:
            text = f"found {task!r}; write the name of a task: {', '.join(splits)}"
            yield Problem(at=("data", "task"), text=text)
        elif split not in splits[task]:
            there = " or ".join(splits[task]) or "none that may be used"
            yield Problem(at=("data", "split"), text=f"found {split}; task {task} has {there}")

    def prepare(self, training: Training) -> "EwcHooks":
        """Computes or loads the Fisher information, and sets up the step for every weight that has it."""
        from rayforget.train.fisher import fisher_information, normalised

        raw = fisher_information(training, self.data.task, self.data.split, samples=self.samples)
        fisher, mean = normalised(raw, training.weights)
        return EwcHooks(training, fisher, mean, self)


class EwcHooks(Hooks):
    """Moves the weights after every step, each by its own share."""

    def __init__(self, training: Training, fisher: "Mapping[str, Tensor]", mean: float, penalty: EwcPenalty) -> None:
        from rayforget.train.penalties.fused import Proximal
        from rayforget.train.sharding import sharded_like

        self._strength = penalty.strength
        self._mean, self._data = mean, penalty.data
        self._weights = [training.weights[name] for name in fisher]
        self._starts = [training.start[name] for name in fisher]
        self._fisher = [sharded_like(fisher[name], training.weights[name]).contiguous() for name in fisher]
        self._proximal = Proximal("ewc", ewc_proximal_steps)

    def after_step(self, learning_rate: float) -> None:
        """Takes the step with tau = learning rate * strength."""
        from rayforget.train.sharding import own_shares

        self._proximal.take(own_shares(self._weights), self._starts, self._fisher, learning_rate * self._strength)

    def facts(self) -> Mapping[str, Any]:
        """F's mean, by which it was divided, and its data."""
        return {"fisher_mean": self._mean, "fisher_data": f"{self._data.task}/{self._data.split}"}


def ewc_proximal_steps(weights: "list[Tensor]", theta_0: "list[Tensor]", fisher: "list[Tensor]", tau: float) -> None:
    """`ewc_proximal_step` for each weight."""
    for weight, start, matter in zip(weights, theta_0, fisher, strict=True):
        ewc_proximal_step(weight, start, matter, tau)


def ewc_proximal_step(weight: "Tensor", theta_0: "Tensor", fisher: "Tensor", tau: float) -> None:
    """Moves every element of a weight the share tau F / (1 + tau F) of its way to theta_0, in place.

    Args:
        weight: any shape, contiguous, changed in place.
        theta_0: the same shape and device.
        fisher: the same shape and device, >= 0.
        tau: learning rate of the step times strength, >= 0.
    """
    import torch

    if tau == 0:
        return
    size = _PIECE["cuda" if weight.device.type == "cuda" else "cpu"]
    parts = (torch.split(tensor.view(-1), size) for tensor in (weight, theta_0, fisher.contiguous()))
    for piece, target, matter in zip(*parts, strict=True):
        scaled = matter.double().mul_(min(tau, _LARGEST)).clamp_(max=_LARGEST)
        share = scaled.div_(1 + scaled).to(piece.dtype)
        torch.lerp(piece, target, share, out=piece)
