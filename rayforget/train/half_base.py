"""A LoRA's module under autocast -> the same with its frozen matrices kept as autocast rounds them at each use.

    autocast: y = x16 @ round16(W)^T,   W fp32        kept: y = x16 @ W16^T,   W16 = round16(W)

The bits are the same. A frozen matrix then takes 2 bytes a weight on the device in place of 4, and of the 2 more that a
step holds of it from forward to backward; nothing is cast anew in each step.
"""

import logging
from collections.abc import Mapping

import torch
from torch import Tensor

from rayforget.foundations.protocol import Learner
from rayforget.foundations.rounded import LINEAR, only_multiplied
from rayforget.train.distillation import teacher_output

_log = logging.getLogger(__name__)
_UNFIT = (AttributeError, NotImplementedError, RuntimeError, TypeError)
"""What a model raises that does not run with adapters, or with layers of another type than its own."""


def keep_in_half(learner: Learner, dtype: torch.dtype) -> dict[str, Tensor]:
    """Keeps the frozen matrices of the learner's module in `dtype`, if the module then gives the same bits.

    Args:
        learner: at theta_0, its adapters attached. One without `at_theta_0` is left as it is.
        dtype: autocast's type.

    Returns:
        Name without adapters -> the matrix in fp32, on the CPU, for each that is kept in half; nothing of it is copied.
    """
    full: Mapping[str, Tensor] = getattr(learner, "at_theta_0", {})
    module, output = learner.module, learner.output
    left = {id(parameter) for parameter in output.parameters()} if output is not None else set()
    chosen = {id(weight) for weight in only_multiplied(module, LINEAR)} - left
    kept = {
        name.replace(".base_layer.", "."): parameter
        for name, parameter in module.named_parameters()
        if not parameter.requires_grad and id(parameter) in chosen and name.replace(".base_layer.", ".") in full
    }
    if not kept:
        return {}
    before = _few_answers(learner, dtype)
    if before is None:
        return {}
    for parameter in kept.values():
        parameter.data = parameter.data.to(dtype)
    after = _few_answers(learner, dtype)
    if after is not None and torch.equal(after, before):
        return {name: full[name] for name in kept}
    _log.info("%s reads its layers' types: its frozen matrices stay in fp32", type(module).__name__)
    for name, parameter in kept.items():
        parameter.data = full[name].to(parameter.device, copy=True)
    return {}


def _few_answers(learner: Learner, dtype: torch.dtype) -> Tensor | None:
    """What the module gives for the first item, adapters off; None if it cannot run so: the first step says why."""
    batch = learner.batch(torch.zeros(1, dtype=torch.long), torch.Generator().manual_seed(0))
    try:
        with torch.autocast(learner.device.type, dtype=dtype):
            return teacher_output(learner.module, {}, batch.inputs)
    except _UNFIT:
        return None
