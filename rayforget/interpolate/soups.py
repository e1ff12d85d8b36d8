"""Several fine-tuned models -> one whose weights are their mean (Wortsman et al. 2022, Model soups).

theta_S = 1/|S| sum_{i in S} theta_i,   S all models (uniform soup), or those that `greedy` keeps
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from rayforget.errors import FoundationError

Ingredient = TypeVar("Ingredient")


def mean_of(models: Iterable[dict[str, Tensor]], names: Collection[str]) -> dict[str, Tensor]:
    """The mean of these tensors over the models, summed in float64 and rounded once to fp32.

    So neither the order of a few models nor the mean of equal tensors changes a bit.

    Args:
        models: fp32 tensors by name; taken one at a time, so that only one need be in memory.
        names: the tensors wanted, which each model has.

    Raises:
        FoundationError: there is no model.
    """
    sums: dict[str, Tensor] = {}
    count = 0
    for model in models:
        count += 1
        for name in names:
            value = model[name].to(torch.float64)
            sums[name] = sums[name] + value if name in sums else value
    if not count:
        raise FoundationError("a soup needs at least one model, found none")
    return {name: (sums[name] / count).to(torch.float32) for name in sums}


def greedy(ordered: Sequence[Ingredient], score: Callable[[tuple[Ingredient, ...]], float]) -> tuple[Ingredient, ...]:
    """The ingredients of the greedy soup (their Recipe 1): each is kept with which the score does not fall.

    Args:
        ordered: the models by their own score, best first; at least one.
        score: what the soup of these models scores on held-out data; asked once for each of 1 .. len(ordered) soups.
    """
    kept: tuple[Ingredient, ...] = (ordered[0],)
    best = score(kept)
    for each in ordered[1:]:
        found = score((*kept, each))
        if found >= best:
            kept, best = (*kept, each), found
    return kept
