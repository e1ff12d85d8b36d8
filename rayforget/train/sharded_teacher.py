"""theta_0's answers from a module whose trained weights are in shards, without a second model on any rank.

Each rank keeps its own share of theta_0 beside its share of the weights. For the teacher's forward theta_0's shares
replace the weights, layers are gathered and released as in any forward, and the weights are restored to the bit. Only
the layer that makes logits is called again, piece by piece, while the student's is whole: the teacher's stays whole
beside it until the step's loss is known.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from rayforget.train.distillation import teacher_output
from rayforget.train.lora import adapters_off
from rayforget.train.sharding import own_share

if TYPE_CHECKING:  # takes a second to import, for nothing if nothing is sharded
    from torch.distributed.fsdp import FSDPModule


@torch.no_grad()
def sharded_teacher_output(
    module: nn.Module,
    output: nn.Module | None,
    trained: Mapping[str, Tensor],
    start: Mapping[str, Tensor],
    inputs: Mapping[str, Tensor],
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """theta_0's forward output, and a function that makes logits of its features; all ranks call it before the student.

    Args:
        module: sharded, not compiled; its weights are the same bits afterwards, and no random numbers are drawn.
        output: the layer between features and logits, if it is a part of its own.
        trained: the module's trained weights (without a LoRA's factors) in shards, by name.
        start: this rank's shares of theta_0, with the same names.
        inputs: keyword arguments of the module's forward.
    """
    names = {id(weight): name for name, weight in trained.items()}
    own = {} if output is None else {key: names.get(id(weight)) for key, weight in output.named_parameters()}
    of_output: dict[str, Tensor] = {}
    kind = next(iter(inputs.values())).device.type
    # Autocast would reuse the cast weight for the student, whose weight is the same object with other values.
    with (
        torch.autocast(
            kind, torch.get_autocast_dtype(kind), enabled=torch.is_autocast_enabled(kind), cache_enabled=False
        ),
        _in_place_of(trained, start),
    ):
        found = teacher_output(module, {}, inputs)
        whole_ones = {} if output is None else dict(output.named_parameters())
        for key, name in own.items():
            if name is not None:
                of_output[key] = whole_ones[key].detach().to(start[name].dtype, copy=True)
        cast("FSDPModule", module).reshard()  # the root stays whole after a forward, here with theta_0's values

    @torch.no_grad()
    def logits_of(features: Tensor) -> Tensor:
        if output is None:
            raise RuntimeError("this module has no output layer of its own: its forward has returned the logits")
        with adapters_off(output):
            logits: Tensor = functional_call(output, of_output, (features,))
        return logits

    return found, logits_of


@contextmanager
def _in_place_of(weights: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> Iterator[None]:
    """Puts other values into this rank's shares of the weights within the block."""
    shares = [own_share(weights[name].detach()) for name in others]
    own = [share.clone() for share in shares]
    torch._foreach_copy_(shares, list(others.values()))
    try:
        yield
    finally:
        torch._foreach_copy_(shares, own)
