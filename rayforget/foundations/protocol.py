"""What a foundation offers to training and scoring; the difference between kinds of models lives behind it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, nn

from rayforget.evaluate.finite import Scored
from rayforget.space.recipe import Recipe
from rayforget.tasks.resolved import SplitName
from rayforget.values.layers import Layer
from rayforget.values.scores import Split

State = Mapping[str, Tensor]
"""Canonical names -> tensors: deduplicated parameters and persistent floating-point buffers, fp32."""


TaskSplit = tuple[str, SplitName]
"""A task's name, and one of its splits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Inputs of a learner's module, and what it should have answered."""

    inputs: Mapping[str, Tensor]
    """Keyword arguments of the module's forward."""
    targets: Tensor
    """Class indices, shape (num_targets,), long: one per image, or one per answer token."""


class Learner(Protocol):
    """A foundation set up for one recipe: a module at theta_0 and the batches it learns from."""

    @property
    def module(self) -> nn.Module:
        """forward(**inputs) -> logits (num_targets, num_classes). At theta_0, in train mode; `requires_grad` marks what

        the recipe's head lets train. Its linear layers are plain nn.Linear. It lies on `device`, or on CPU where it is
        going to be sharded."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the training runs and batches come to."""
        ...

    @property
    def output(self) -> nn.Module | None:
        """The part of the module between features and logits; None where it is no part of its own.

        With one, forward(**inputs) returns features (num_targets, d) instead, and forward(features=) some of their
        logits, so that the logits of all targets never exist at once.
        """
        ...

    @property
    def num_items(self) -> int:
        """Items in the training set."""
        ...

    @property
    def data_hash(self) -> str:
        """Hash of what besides weights and recipe decides its batches: items, targets, classes and prompts."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the record shall say of the training set: items cut or left out, for example; values of JSON."""
        ...

    def batch(self, indices: Tensor, generator: Generator) -> Batch:
        """The items of these indices (shape (n,), long, on CPU), augmented with the CPU `generator`, on the device."""
        ...

    def canonical(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The module's own parameter and buffer names -> all names of `Foundation.initial(recipe)`, values unchanged.

        What the module does not hold (a frozen text tower) is the initial tensor itself.
        """
        ...


class Scorer(Protocol):
    """Scores models on the tasks; holds the decoded data and whatever does not depend on alpha."""

    @property
    def tasks(self) -> Sequence[str]:
        """Names of the tasks it scores."""
        ...

    @property
    def models_per_pass(self) -> int | None:
        """How many models share a pass over the data; None: any number, the more the better while they fit in memory.

        1 where the models are the outer loop: further ones would take memory and save nothing.
        """
        ...

    @property
    def identity(self) -> str:
        """What besides weights and items decides a score: classes, prompts, head; a hash, for caches."""
        ...

    def items_hash(self, split: Split) -> str:
        """One hash over all tasks' items of the split."""
        ...

    def items_by_task(self, split: Split) -> Mapping[str, str]:
        """Per task the `items_hash` that its scores carry."""
        ...

    def facts(self, split: Split) -> Mapping[str, Any]:
        """What the record shall say of the split's data: items left out, for example; values of JSON."""
        ...

    def counted(self, split: Split) -> Mapping[str, Mapping[str, int]]:
        """By task, what was counted of its items, where something was: see `rayforget.values.scores.Score.facts`."""
        ...

    def score(self, thetas: Sequence[State], split: Split) -> Sequence[Scored]:
        """Scores every model in one pass over the split's data; every rank gets the whole result.

        A model that gives an output that is not finite has no scores: `NotFinite` stands in their place.

        Each of `thetas` holds the tensors that differ from theta_0, under canonical names, on the device. The ranks
        share the items among them.
        """
        ...


class Foundation(Protocol):
    """A pretrained model, loaded once per worker and used by every trial."""

    @property
    def theta_0(self) -> State:
        """On CPU; never written to."""
        ...

    @property
    def theta_0_hash(self) -> str:
        """`rayforget.interpolate.hashing.state_hash(theta_0)`."""
        ...

    @property
    def item_bytes(self) -> int:
        """Bytes of an item as a node keeps it, where they differ the mean over the training set."""
        ...

    def learner(self, recipe: Recipe, data: TaskSplit | None = None) -> Learner:
        """A fresh module at theta_0 for this recipe; nothing in it is shared with an earlier learner's.

        Args:
            recipe: decides what is trained, and how the training set is learnt.
            data: None takes the training set. A (task, split) takes its items instead, whole on this rank, each once
                and as it is scored: without augmentation, packing or anything else that is random. The targets are
                what is right for an item, and weights have the names that they have in the training.

        Raises:
            FoundationError: there is no such task or split, or nothing in it that a model could be taught.
        """
        ...

    def initial(self, recipe: Recipe) -> State:
        """theta_0 with what the recipe's head adds to it (a classifier's weights)."""
        ...

    def layers(self, recipe: Recipe) -> Mapping[str, Layer]:
        """Which layer each tensor of `initial(recipe)` belongs to: embeddings first, blocks in order, output last."""
        ...

    def scorer(self, recipe: Recipe | None) -> Scorer:
        """Scores models of this recipe's head; None scores theta_0 zero-shot."""
        ...
