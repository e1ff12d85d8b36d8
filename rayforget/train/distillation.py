"""Knowledge distillation from theta_0 (Hinton et al. 2015; LwF, Li and Hoiem 2016) on the training batch.

    loss = strength * T^2 * mean_i KL( softmax(z_0i / T) || softmax(z_i / T) )

with z_0 the logits of theta_0 and z those of the model, over the speciality's classes (or the answer tokens). T^2
keeps the gradient's size when T changes. At theta = theta_0 loss and gradient are 0; strength 0 calls no teacher.

The teacher needs no second copy: it is the same module, called with the trained tensors' start values in place of
their current ones. A LoRA's start value is B = 0, so its teacher is the model with the adapter off, and a trained
head's teacher is its frozen start.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.func import functional_call


@torch.no_grad()
def teacher_logits(module: nn.Module, start: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> Tensor:
    """theta_0's logits, shape (num_targets, num_classes); draws no random number and leaves the module as it was.

    Args:
        module: the trained module, not wrapped by DDP or compile.
        start: the trained tensors' names and start values.
        inputs: keyword arguments of the module's forward.
    """
    was_training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        logits: Tensor = functional_call(module, dict(start), args=(), kwargs=dict(inputs))
    finally:
        for part in was_training:
            part.training = True
    return logits


def distillation_loss(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 * sum_i KL(teacher_i || student_i), a scalar in fp32: the sum over targets, not yet their mean.

    Args:
        logits: the student's, shape (n, c).
        teacher: theta_0's, shape (n, c).
        temperature: T > 0.
    """
    student_log = F.log_softmax(logits.float() / temperature, dim=-1)
    teacher_log = F.log_softmax(teacher.float() / temperature, dim=-1)
    return temperature**2 * F.kl_div(student_log, teacher_log, reduction="sum", log_target=True)
