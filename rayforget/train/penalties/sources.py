"""A foundation with its tasks -> the data that a penalty may ask for before a training (see `hooks.Sources`)."""

from collections.abc import Callable, Mapping
from typing import Literal, cast

import torch
from torch import Tensor

from rayforget.distributed import any_rank, rank
from rayforget.foundations.protocol import Foundation, Learner
from rayforget.record.tensors_cache import TensorsCache
from rayforget.space.recipe import FullAdapter, Recipe


class FoundationSources:
    """Learners over other data with the recipe's head, and tensors kept between trainings."""

    def __init__(
        self, foundation: Foundation, recipe: Recipe, device: torch.device, cache: TensorsCache | None
    ) -> None:
        """Prepares the sources of one training.

        Args:
            foundation: has the space's tasks.
            recipe: the training's; its head decides what is trained.
            device: the device on which ranks communicate.
            cache: None keeps nothing.
        """
        self._foundation, self._device, self._cache = foundation, device, cache
        bare = {"adapter": FullAdapter(), "penalties": (), "augmentation": "none", "precision": "fp32"}
        self._recipe = recipe.model_copy(update=bare)

    def learner(self, task: str, split: str) -> Learner:
        """A learner at theta_0, whole; see the protocol."""
        return self._foundation.learner(self._recipe, (task, cast(Literal["train", "val"], split)))

    def kept(self, what: Mapping[str, str], make: Callable[[], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        """Also keyed by weights, head and code; made by all ranks together if one of them lacks it."""
        if self._cache is None:
            return make()
        key = {
            **what,
            "theta_0": self._foundation.theta_0_hash,
            "head": str(self._recipe.head),
        }
        found: Mapping[str, Tensor] | None = self._cache.get(key)
        if any_rank(found is None, self._device) or found is None:
            found = make()
            if rank() == 0:
                self._cache.put(key, found)
        return found
