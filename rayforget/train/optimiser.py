"""The trained parameters -> AdamW over two groups, and the norm that decides whether its step may be taken."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from rayforget.train.sharding import whole


def adamw(
    parameters: Iterable[nn.Parameter],
    *,
    learning_rate: float,
    weight_decay: float,
    faster: Iterable[nn.Parameter] = (),
    ratio: float = 1.0,
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) in its fused form; vectors and scalars are not decayed.

    Args:
        parameters: those that are trained are taken.
        learning_rate: the peak learning rate.
        weight_decay: decoupled, of matrices.
        faster: matrices among them whose learning rate is `ratio` times the others', as LoRA+ has it.
        ratio: 1 makes no difference between them.
    """
    fast = {id(parameter) for parameter in faster} if ratio != 1 else set()
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    matrices = [p for p in trained if p.ndim >= 2]
    groups = [
        {"params": [p for p in matrices if id(p) not in fast], "weight_decay": weight_decay, "ratio": 1.0},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0, "ratio": 1.0},
        {"params": [p for p in matrices if id(p) in fast], "weight_decay": weight_decay, "ratio": ratio},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=learning_rate, fused=True)


def set_learning_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """Sets the learning rate of all parameters, times their group's `ratio`."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate * group.get("ratio", 1.0)  # older states of a resume have none


def clip_gradients(parameters: list[nn.Parameter], clip_norm: float | None) -> Tensor:
    """Scales the whole gradient down to an L2 norm of at most `clip_norm`; returns the norm before, a scalar."""
    norm = whole(torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]))
    if clip_norm is not None:
        torch.nn.utils.clip_grads_with_norm_(parameters, clip_norm, norm)
    return norm
