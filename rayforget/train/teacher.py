"""theta_0 as the teacher of one training: a batch's inputs -> theta_0's logits, from the module being trained."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from rayforget.foundations.rounded import LINEAR_AND_CONVOLUTIONS, only_multiplied
from rayforget.train.distillation import teacher_output
from rayforget.train.sharded_teacher import sharded_teacher_output
from rayforget.train.sharding import own_share

Answer = Callable[[slice], Tensor]
"""A slice of a batch's targets -> theta_0's logits for them, shape (n, num_classes)."""


def start_values(weights: Mapping[str, Tensor], module: nn.Module, *, rounded: bool) -> dict[str, Tensor]:
    """theta_0's values of the trained weights; if sharded, each rank's own share.

    Args:
        weights: the trained weights at theta_0, by name.
        module: the module that they belong to.
        rounded: keep in bf16 what autocast would round to bf16 anyway: the matrices of linear layers and convolutions.
            Embeddings, norms and biases enter sums in fp32 and stay so; otherwise the teacher would not be theta_0.
    """
    castable = {id(tensor) for tensor in only_multiplied(module, LINEAR_AND_CONVOLUTIONS)} if rounded else set()
    return {
        name: own_share(tensor.detach()).to(torch.bfloat16 if id(tensor) in castable else torch.float32, copy=True)
        for name, tensor in weights.items()
    }


def ask_teacher(
    module: nn.Module,
    output: nn.Module | None,
    weights: Mapping[str, Tensor],
    start: Mapping[str, Tensor],
    inputs: Mapping[str, Tensor],
    *,
    sharded: bool,
) -> Answer:
    """Computes theta_0's answer; call it before the student's forward, on all ranks alike.

    Args:
        module: the trained module, not wrapped by DDP or compile.
        output: the layer between features and logits, if it is a part of its own.
        weights: the trained weights except a LoRA's factors.
        start: their values at theta_0; empty if only a LoRA is trained.
        inputs: keyword arguments of the module's forward.
        sharded: whether the module's weights are in shards.
    """
    if sharded and start:
        teacher, logits_of = sharded_teacher_output(module, output, weights, start, inputs)
    else:
        # Shards that are gathered in inference mode could not be trained on afterwards.
        mode = torch.no_grad if sharded else torch.inference_mode
        logits_of = partial(_logits_of, module, start, mode)
        with mode():
            teacher = teacher_output(module, start, inputs)
    return lambda piece: teacher[piece] if output is None else logits_of(teacher[piece])


def _logits_of(
    module: nn.Module, start: Mapping[str, Tensor], mode: Callable[[], AbstractContextManager[Any]], features: Tensor
) -> Tensor:
    with mode():
        return teacher_output(module, start, {"features": features})
