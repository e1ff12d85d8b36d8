"""A penalty, what it does in a training and what it is given for that; knows no torch until it is used.

The trainer calls every penalty's hooks in this order, penalties in the order of their kinds' names:

    prepare                     once, at theta_0
    every step, for each micro-batch:
        before_forward          a teacher answers before the student
        pull                    adds to the loss, for each piece of the targets
    every step, then:
        before_clip             adds to the gradients, which are those of the mean loss over all ranks
        after_step              moves the weights, when the optimiser has

A step that a gradient scaler skips has no `after_step`.
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
    """Does nothing at any of the hooks; a penalty overrides those that it needs."""

    pulls: bool = False
    """Whether `pull` adds anything."""

    def before_forward(self, inputs: "Mapping[str, Tensor]") -> None:
        """Called under the training's autocast, without gradients, on all ranks alike.

        Args:
            inputs: keyword arguments of the module's forward, of one micro-batch.
        """

    def pull(self, logits: "Tensor", piece: slice) -> "Tensor":
        """What is added to the loss of some of the micro-batch's targets: a sum over them, a scalar in fp32.

        Args:
            logits: of these targets, shape (n, num_classes).
            piece: which of the micro-batch's targets they are.
        """
        raise NotImplementedError("a penalty with `pulls` says in `pull` what it adds")

    def before_clip(self) -> None:
        """Called without gradients; every trained weight has its `.grad`."""

    def after_step(self, learning_rate: float) -> None:
        """Called without gradients; the step was taken with this learning rate."""

    def facts(self) -> Mapping[str, Any]:
        """What the record shall say of it; values of JSON."""
        return {}

    def state_dict(self) -> Mapping[str, Any]:
        """What it must know again to go on after a resume, besides what `prepare` finds anew."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes that over."""


class Sources(Protocol):
    """The data that a penalty may ask for before a training, and a place for what took long to make."""

    def learner(self, task: str, split: str) -> "Learner":
        """A fresh learner at theta_0, whole on this rank, over a task's split: its items and what is right for them.

        Its names of weights are those of the module that is trained; no augmentation, no adapter.
        """
        ...

    def kept(self, what: Mapping[str, str], make: "Callable[[], Mapping[str, Tensor]]") -> "Mapping[str, Tensor]":
        """What was made from these (names and hashes) before on this storage, else makes and keeps it.

        Every rank calls it, and every rank gets the whole.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A training that is about to begin, as penalties see it."""

    learner: "Learner"
    weights: "Mapping[str, Tensor]"
    """The trained weights, by the module's names, in shards where they are sharded; a LoRA's factors are not among
    them."""
    start: "Mapping[str, Tensor]"
    """Their values at theta_0, of shards each rank's own; empty where no penalty `needs` them."""
    factors: "Sequence[LoraFactors]"
    """Of the adapted layers."""
    sharded: bool
    sources: Sources | None
    """None where a training has no more than its learner."""


class Penalty(PenaltyConfig):
    """A penalty with what it does: one file each, whose docstring has the equation."""

    def prepare(self, training: Training) -> Hooks:
        """What it does in one training; called once, at theta_0, on every rank, where the strength is not 0."""
        raise NotImplementedError(f"{type(self).__name__} has no `prepare`: a penalty says there what it does")
