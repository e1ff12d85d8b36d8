"""The divergence between theta_0's logits and a model's, and theta_0's answers from the module being trained.

The teacher needs no second module. If only a LoRA is trained, it is the same weights with the adapter off; otherwise it
is the module called with the trained tensors' start values in place of their current ones (a trained head's teacher is
its frozen start).
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call

from rayforget.train.lora import adapters_off


@torch.no_grad()
def teacher_output(module: nn.Module, start: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> Tensor:
    """What theta_0's forward returns (see `Learner`); draws no random numbers and leaves the module as it was.

    Args:
        module: the trained module, not wrapped by DDP or compile.
        start: start values by name, of all trained tensors except a LoRA's factors; if empty, the adapter is switched
            off.
        inputs: keyword arguments of the module's forward.
    """
    was_training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        with adapters_off(module):
            if not start:
                # Not through __call__: a sharded module's output layer is whole here, and must stay so.
                call = module.forward if "features" in inputs else module
                output: Tensor = call(**inputs)
            else:
                output = functional_call(module, dict(start), args=(), kwargs=dict(inputs))
    finally:
        for part in was_training:
            part.training = True
    return output


def distillation_loss(
    logits: Float[Tensor, "n c"], teacher: Float[Tensor, "n c"], temperature: float
) -> Float[Tensor, ""]:
    """T^2 * sum_i KL(teacher_i || student_i), a scalar in fp32: the sum over targets, not their mean.

    Args:
        logits: the student's logits.
        teacher: theta_0's logits.
        temperature: T > 0.
    """
    loss: Tensor = _Divergence.apply(logits, teacher, temperature)
    return loss


class _Divergence(torch.autograd.Function):
    """Forward computes the gradient too, T * (softmax(z / T) - softmax(z_0 / T)), to keep one tensor instead of six."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        student_log = F.log_softmax(logits.float() / temperature, dim=-1)
        teacher_log = F.log_softmax(teacher.float() / temperature, dim=-1)
        probabilities = teacher_log.exp()
        loss = temperature**2 * teacher_log.sub_(student_log).mul_(probabilities).sum()
        gradient = student_log.exp_().sub_(probabilities).mul_(temperature)
        ctx.save_for_backward(gradient)
        ctx.dtype = logits.dtype
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        # In place, since nothing else holds it; torch reports a second backward. It is rounded to the logits' type only
        # after a loss scale has lifted it, as fp16 needs.
        return gradient.mul_(grad).to(ctx.dtype), None, None
