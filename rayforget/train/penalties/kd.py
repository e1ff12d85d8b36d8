"""Knowledge distillation from theta_0 (Hinton et al. 2015; LwF, Li and Hoiem 2016) on the training batch.

    loss = strength * T^2 * mean_i KL( softmax(z_0i / T) || softmax(z_i / T) )

with z_0 the logits of theta_0 and z those of the model, over the speciality's classes (or the answer tokens). T^2
keeps the gradient's size when T changes. At theta = theta_0 loss and gradient are 0; strength 0 calls no teacher. The
divergence itself is in `rayforget.train.distillation`, the teacher in `rayforget.train.teacher`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveFloat

from rayforget.space.penalty import Needs
from rayforget.train.penalties.hooks import Hooks, Penalty, Training

if TYPE_CHECKING:
    from torch import Tensor


class Distillation(Penalty):
    """strength * T^2 * KL(p_theta_0 || p_theta) over the speciality's classes, on the training batch."""

    kind: Literal["kd"]
    temperature: PositiveFloat = 1.0
    """T, which divides both models' logits."""

    def needs(self, *, lora: bool) -> Needs:
        """A teacher; with a LoRA it is the same weights with the adapter off, and needs no copy."""
        return Needs(theta_0=not lora, rounded=True, teacher=True)

    def prepare(self, training: Training) -> "DistillationHooks":
        """Sets theta_0 up to answer before every forward."""
        return DistillationHooks(training, self)


class DistillationHooks(Hooks):
    """Keeps the teacher's answer to the current micro-batch."""

    pulls = True

    def __init__(self, training: Training, penalty: Distillation) -> None:
        self._training, self._penalty = training, penalty

    def before_forward(self, inputs: "Mapping[str, Tensor]") -> None:
        """Asks the teacher."""
        from rayforget.train.teacher import ask_teacher

        training = self._training
        self._answer = ask_teacher(
            training.learner.module,
            training.learner.output,
            training.weights,
            training.start,
            inputs,
            sharded=training.sharded,
        )

    def pull(self, logits: "Tensor", piece: slice) -> "Tensor":
        """strength * T^2 * sum of the divergences of these targets."""
        from rayforget.train.distillation import distillation_loss

        return self._penalty.strength * distillation_loss(logits, self._answer(piece), self._penalty.temperature)
