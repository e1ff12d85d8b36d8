"""What a foundation offers to training and scoring; it hides the differences between kinds of models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, nn

from rayforget.evaluate.finite import Scored
from rayforget.space.given import AnyRecipe
from rayforget.space.recipe import Recipe
from rayforget.tasks.resolved import SplitName
from rayforget.values.layers import Layer
from rayforget.values.scores import Split

State = Mapping[str, Tensor]
"""Canonical names -> tensors: deduplicated parameters and persistent floating-point buffers, fp32."""


TaskSplit = tuple[str, SplitName]
"""A task's name and one of its splits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Inputs of a learner's module, and the right answers."""

    inputs: Mapping[str, Tensor]
    """Keyword arguments of the module's forward."""
    targets: Tensor
    """Class indices, shape (num_targets,), long: one per image, or one per answer token."""

    def to(self, device: torch.device, *, non_blocking: bool = False) -> "Batch":
        """The same on a device."""
        inputs = {name: tensor.to(device, non_blocking=non_blocking) for name, tensor in self.inputs.items()}
        return Batch(inputs=inputs, targets=self.targets.to(device, non_blocking=non_blocking))


class Learner(Protocol):
    """A foundation set up for one recipe: a module at theta_0 and its training batches."""

    @property
    def module(self) -> nn.Module:
        """forward(**inputs) -> logits (num_targets, num_classes); at theta_0, in train mode.

        `requires_grad` marks what the recipe's head lets train. The module's linear layers are plain nn.Linear. It lies
        on `device`, or on the CPU if it is to be sharded.
        """
        ...

    @property
    def device(self) -> torch.device:
        """The device of the training and of the batches."""
        ...

    @property
    def output(self) -> nn.Module | None:
        """The module's layer between features and logits; None if it is not a part of its own.

        If there is one, forward(**inputs) returns features (num_targets, d) instead, and forward(features=) the logits
        of some of them, so that the logits of all targets never exist at once.
        """
        ...

    @property
    def num_items(self) -> int:
        """Number of items in the training set."""
        ...

    @property
    def data_hash(self) -> str:
        """Hash of what decides its losses besides weights and recipe: items, targets, classes, prompts, preprocessing,
        and what of the architecture no weight shows."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """The record's facts on the training set, e.g. items cut or left out; JSON values."""
        ...

    def batch(self, indices: Tensor, generator: Generator) -> Batch:
        """The items at these indices (shape (n,), long, on the CPU), augmented with the CPU `generator`, on the
        device."""
        ...

    # A learner may also have `raw(indices, generator) -> Batch`, which any thread may call and which leaves all global
    # generators alone, and `finished(raw) -> Batch`, with batch(i, g) = finished(raw(i, g) on the device): on a GPU its
    # batches are then made ahead (`rayforget.train.ahead`). With `at_theta_0` (the module's own names -> theta_0's
    # values, on the CPU) a LoRA's frozen base may lie in half precision (`rayforget.train.half_base`). Unless it has
    # `sizes_repeat = False`, its inputs are taken to have few sizes, for each of which a compiled recipe makes code of
    # its own.

    def canonical(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The module's own parameter and buffer names -> all names of `Foundation.initial(recipe)`, values unchanged.

        Tensors that the module does not hold (a frozen text tower) are the initial tensors themselves.
        """
        ...


class Scorer(Protocol):
    """Scores models on the tasks; holds the decoded data and all that does not depend on alpha."""

    @property
    def tasks(self) -> Sequence[str]:
        """Names of the tasks it scores."""
        ...

    @property
    def models_per_pass(self) -> int | None:
        """How many models share a pass over the data; None: any number, and as many as fit in memory is best.

        1 if the models are the outer loop: more would take memory and save nothing.
        """
        ...

    @property
    def identity(self) -> str:
        """Hash, for caches, of what decides a score besides weights and items: classes, prompts, head."""
        ...

    @property
    def runs_as(self) -> str:
        """Hash of how weights are run: architecture, preprocessing, tokens; no versions of libraries.

        A sweep that is resumed refuses another one. `identity` stands in for scorers of other packages without it.
        """
        ...

    def items_hash(self, split: Split) -> str:
        """One hash over all tasks' items of the split."""
        ...

    def items_by_task(self, split: Split) -> Mapping[str, str]:
        """Per task the `items_hash` of its scores."""
        ...

    def facts(self, split: Split) -> Mapping[str, Any]:
        """The record's facts on the split's data, e.g. items left out; JSON values."""
        ...

    def counted(self, split: Split) -> Mapping[str, Mapping[str, int]]:
        """Task -> counts over its items, if any: see `rayforget.values.scores.Score.facts`."""
        ...

    def score(self, thetas: Sequence[State], split: Split) -> Sequence[Scored]:
        """Scores every model in one pass over the split's data; every rank gets the whole result.

        A model with an output that is not finite gets `NotFinite` in place of its scores.

        Each of `thetas` holds the tensors that differ from theta_0, under canonical names, on the device. The ranks
        share the items among them.
        """
        ...


class Foundation(Protocol):
    """A pretrained model, loaded once per worker and used by every trial."""

    @property
    def theta_0(self) -> State:
        """On the CPU; read-only."""
        ...

    @property
    def theta_0_hash(self) -> str:
        """`rayforget.interpolate.hashing.state_hash(theta_0)`."""
        ...

    @property
    def item_bytes(self) -> int:
        """Bytes of an item as a node keeps it; the mean over the training set if they differ."""
        ...

    def learner(self, recipe: Recipe, data: TaskSplit | None = None) -> Learner:
        """A fresh module at theta_0 for this recipe; shares nothing with an earlier learner's.

        Args:
            recipe: decides what is trained, and how the training set is learnt.
            data: None takes the training set. A (task, split) takes all of its items on this rank instead, each once
                and as it is scored: without augmentation, packing or other randomness. The targets are an item's right
                answers, and weights have the same names as in the training.

        Raises:
            FoundationError: there is no such task or split, or nothing in it to train on.
        """
        ...

    def initial(self, recipe: AnyRecipe) -> State:
        """theta_0 with the tensors that the recipe's head adds (a classifier's weights)."""
        ...

    def layers(self, recipe: AnyRecipe) -> Mapping[str, Layer]:
        """The layer of each tensor of `initial(recipe)`: embeddings first, blocks in order, output last."""
        ...

    def scorer(self, recipe: AnyRecipe | None) -> Scorer:
        """Scores models with this recipe's head; None scores theta_0 zero-shot."""
        ...
