"""Weights under autocast -> the same with matrices rounded once, as autocast rounds them anew at every use.

    autocast: y = x16 @ round16(W)^T in every step        here: W16 = round16(W), then y = x16 @ W16^T in every step

The bits are the same. A step of one token reads every weight once, so rounding is most of what it does: 4 bytes read
and 2 written for each weight, beside the 2 that the product reads.
"""

from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.func import functional_call

from rayforget.foundations.causal_lm.model import CausalLm
from rayforget.foundations.rounded import LINEAR, only_multiplied

_UNFIT = (AttributeError, NotImplementedError, RuntimeError, TypeError)
"""What a model raises that does not run with layers of another type than its own."""
_SAME: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()
"""Whether a model gave the same bits either way."""


@torch.inference_mode()
def rounded_once(model: CausalLm, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """These weights, and those of the model that are not among them, with the matrices in autocast's type.

    Args:
        model: theta_0.
        weights: as `CausalLm.weights` gives them.

    Returns:
        `weights` itself without autocast, if the model then gives other bits, or if a GPU has little room left.
    """
    kind = model.device.type
    if not torch.is_autocast_enabled(kind):
        return weights
    dtype = torch.get_autocast_dtype(kind)
    chosen = {id(weight) for weight in only_multiplied(model.head, LINEAR)}
    own = {name: weight for name, weight in model.head.named_parameters() if id(weight) in chosen}
    if not _has_room(model.device, sum(weight.numel() * dtype.itemsize for weight in own.values())):
        return weights
    rounded = weights | {name: weights.get(name, weight).to(dtype) for name, weight in own.items()}
    if model.head not in _SAME:
        _SAME[model.head] = _same_bits(model, weights, rounded)
    return rounded if _SAME[model.head] else weights


def _has_room(device: torch.device, size: int) -> bool:
    """Whether so many bytes are at most a quarter of what a GPU has left; keys and values need more."""
    if device.type != "cuda":
        return True
    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return 4 * size <= free + unused


def _same_bits(model: CausalLm, weights: dict[str, Tensor], rounded: dict[str, Tensor]) -> bool:
    tokens = torch.arange(8, device=model.device)[None] % model.num_embedded
    before: Tensor = functional_call(model.head, weights, kwargs={"tokens": tokens})
    try:
        after: Tensor = functional_call(model.head, rounded, kwargs={"tokens": tokens})
        features = before.float()
        logits = [functional_call(model.head, each, kwargs={"features": features}) for each in (weights, rounded)]
    except torch.OutOfMemoryError:
        raise
    except _UNFIT:
        return False
    return torch.equal(before, after) and torch.equal(*logits)
