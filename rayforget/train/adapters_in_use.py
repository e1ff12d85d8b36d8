"""Adapters after their first backward -> a refusal that names those which took no part in the step."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import nn

from rayforget.distributed import all_reduce_sum
from rayforget.errors import FoundationError
from rayforget.train.lora import LoraFactors
from rayforget.train.sharding import own_share

_EXPERT = re.compile(r"(experts?\.)\d+(?=\.|$)", re.IGNORECASE)


def refuse_without_gradient(
    factors: Sequence[LoraFactors], device: torch.device, saved: Mapping[str, nn.Module] = MappingProxyType({})
) -> None:
    """Refuses adapters that took no part in a step; call it on all ranks after the first backward.

    B starts at 0 and A does not, so B has a gradient as soon as its layer's output matters. It has none if the model
    reads the layer's weight instead of calling the layer, or does not use it at all. An expert to which no token of the
    step was sent has none either: one of a layer's experts stands for all of them.

    Args:
        factors: the adapters.
        device: the device on which ranks communicate.
        saved: the layers that are trained in full beside them, by name.

    Raises:
        FoundationError: on every rank; names the layers.
    """
    lives = [_has_gradient(lora.b) for lora in factors]
    lives += [any(_has_gradient(weight) for weight in part.parameters()) for part in saved.values()]
    alive = (all_reduce_sum(torch.tensor(lives, dtype=torch.float64, device=device)) > 0).tolist()
    adapted = [lora.name.removesuffix(".weight") for lora in factors]
    used = {_kind(name) for name, is_alive in zip(adapted, alive, strict=False) if is_alive}
    if idle := [name for name, is_alive in zip(saved, alive[len(factors) :], strict=True) if not is_alive]:
        raise FoundationError(
            f"adapter.modules_to_save takes in layers that the model does not use: {_listed(idle)}; take them out"
        )
    dead = [name for name, is_alive in zip(adapted, alive, strict=False) if not is_alive and _kind(name) not in used]
    if not dead:
        return
    others = {name.rsplit(".", 1)[-1] for name in adapted} - {name.rsplit(".", 1)[-1] for name in dead}
    advice = f"adapter.targets: [{', '.join(sorted(others))}], or " if others else ""
    raise FoundationError(
        f"adapter: {len(dead)} of {len(factors)} adapters have no effect, since the model reads these layers' weights "
        f"itself or does not use them: {_listed(dead)}; write {advice}adapter: {{kind: full}}"
    )


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:5])}{f' and {len(names) - 5} more' if len(names) > 5 else ''}"


def _kind(name: str) -> str:
    """A layer's name without the number of its expert."""
    return _EXPERT.sub(r"\1", name)


def _has_gradient(weight: nn.Parameter) -> bool:
    return weight.grad is not None and bool(own_share(weight.grad).count_nonzero())
