"""A penalty, its hooks in a training, and what they are given; imports no torch until used.

The trainer calls every penalty's hooks in this order, penalties in the order of their kinds' names:

    prepare                     once, at theta_0
    every step, for each micro-batch:
        before_forward          a teacher answers before the student
        pull                    adds to the loss, for each piece of the targets
    every step, then:
        before_clip             adds to the gradients, which are those of the mean loss over all ranks
        after_step              moves the weights, when the optimiser has

If a gradient scaler skips a step, `after_step` is not called.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from rayforget.space.penalty import PenaltyConfig

if TYPE_CHECKING:
    from torch import Tensor

    from rayforget.foundations.protocol import Learner
    from rayforget.train.lora import LoraFactors


class Hooks:
    """Does nothing at any hook; a penalty overrides those that it needs."""

    pulls: bool = False
    """Whether `pull` adds anything."""

    def before_forward(self, inputs: "Mapping[str, Tensor]") -> None:
        """Called under the training's autocast, without gradients, on all ranks alike.

        Args:
            inputs: keyword arguments of the module's forward, for one micro-batch.
        """

    def pull(self, logits: "Tensor", piece: slice) -> "Tensor":
        """The addition to the loss of some of the micro-batch's targets: a sum over them, a scalar in fp32.

        Args:
            logits: logits of these targets, shape (n, num_classes).
            piece: the slice of the micro-batch's targets.
        """
        raise NotImplementedError("a penalty with `pulls` says in `pull` what it adds")

    def before_clip(self) -> None:
        """Called without gradients; every trained weight has its `.grad`."""

    def after_step(self, learning_rate: float) -> None:
        """Called without gradients, after a step that was taken with this learning rate."""

    def facts(self) -> Mapping[str, Any]:
        """The record's facts on the penalty; JSON values."""
        return {}

    def state_dict(self) -> Mapping[str, Any]:
        """What a resume must restore, besides what `prepare` computes again."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores that state."""


class Sources(Protocol):
    """The data that a penalty may ask for before a training, and a store for results that took long to compute."""

    def learner(self, task: str, split: str) -> "Learner":
        """A fresh learner at theta_0, whole on this rank, over a task's split: its items and their right answers.

        Its weights have the names of the module being trained; no augmentation, no adapter.
        """
        ...

    def kept(self, what: Mapping[str, str], make: "Callable[[], Mapping[str, Tensor]]") -> "Mapping[str, Tensor]":
        """The result made before from these names and hashes on this storage; if there is none, makes and keeps it.

        Every rank calls it, and every rank gets the whole.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A training about to begin, as penalties see it."""

    learner: "Learner"
    weights: "Mapping[str, Tensor]"
    """The trained weights, by the module's names, in shards if sharded; without a LoRA's factors."""
    start: "Mapping[str, Tensor]"
    """Their values at theta_0, if sharded each rank's own share; empty if no penalty `needs` them."""
    factors: "Sequence[LoraFactors]"
    """The adapted layers' factors."""
    sharded: bool
    sources: Sources | None
    """None if the training has only its learner."""


class Penalty(PenaltyConfig):
    """A penalty with its hooks: one file each, whose docstring has the equation."""

    def prepare(self, training: Training) -> Hooks:
        """The hooks for one training; called once, at theta_0, on every rank, unless the strength is 0."""
        raise NotImplementedError(f"{type(self).__name__} has no `prepare`: a penalty says there what it does")
