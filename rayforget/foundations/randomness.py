"""A loaded model -> the same model without dropout, drop path or noise of its own.

Such rates draw from global random generators, so that equal sweeps would differ. They stand in configurations (nested
ones too), which layers read when they are built or when they run, in layers' own attributes, and in modules.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

_RATE = re.compile(r"(^|_)(\w*dropout\w*|\w*pdrop|layer_?drop|drop_?path\w*|drop_?prob|drop_?rate|patch_drop\w*)$")
_SHARE = re.compile(r"drop|stochastic_depth", re.IGNORECASE)
"""Other names of such rates; a number that is no share of 1 is then something else."""
_NOISE = re.compile(r"jitter|noise")
"""Some routers also use such a number to decide, in evaluation too: it is left if answers depend on it."""


def zero_rates(config: Any) -> None:
    """Sets every dropout rate in a configuration of transformers to 0, in those nested in it too."""
    for each in _configs(config):
        for name, value in list(vars(each).items()):
            if _is_rate(name, value):
                setattr(each, name, type(value)(0))


def still(module: nn.Module, answer: Callable[[], Tensor] | None = None) -> None:
    """Turns off, in place, all randomness that the module's own code names as a rate.

    Args:
        module: in eval mode.
        answer: computes something that all layers take part in; noise is turned off only if that does not change.
    """
    for part in module.modules():
        if isinstance(part, nn.modules.dropout._DropoutNd):
            part.p = 0.0
    held = {
        id(part.config): part.config for part in module.modules() if hasattr(getattr(part, "config", None), "to_dict")
    }
    owners = [*module.modules(), *(each for config in held.values() for each in _configs(config))]
    for owner in owners:
        for name, value in list(vars(owner).items()):
            if _is_rate(name, value):
                setattr(owner, name, type(value)(0))
    if answer is not None:
        for name in sorted({name for owner in owners for name, value in vars(owner).items() if _is_noise(name, value)}):
            _silence(name, owners, answer)


@torch.no_grad()
def _silence(name: str, owners: list[Any], answer: Callable[[], Tensor]) -> None:
    before = answer()
    kept = [(owner, vars(owner)[name]) for owner in owners if _is_noise(name, vars(owner).get(name))]
    for owner, _ in kept:
        setattr(owner, name, 0.0)
    if not torch.equal(before, answer()):
        for owner, value in kept:
            setattr(owner, name, value)


def _configs(config: Any) -> Iterator[Any]:
    yield config
    for value in list(vars(config).values()):
        if hasattr(value, "model_type") and hasattr(value, "to_dict"):
            yield from _configs(value)


def _is_rate(name: str, value: object) -> bool:
    if isinstance(value, float) and 0 < value <= 1 and _SHARE.search(name):
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0 and bool(_RATE.search(name))


def _is_noise(name: str, value: object) -> bool:
    return isinstance(value, float) and value > 0 and _NOISE.search(name) is not None
