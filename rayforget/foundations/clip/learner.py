"""A CLIP head's module and the decoded training set -> augmented batches, and theta_1 under canonical names."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Int
from torch import Generator, Tensor, nn

from rayforget.errors import FoundationError
from rayforget.foundations.clip.attention import fused_names
from rayforget.foundations.clip.heads import ImageHead, PairHead, TextHead
from rayforget.foundations.clip.model import ClipModel
from rayforget.foundations.protocol import Batch, State
from rayforget.tasks.images.augment import Augmentation, augment
from rayforget.tasks.images.pixels import PixelSet, broken_facts
from rayforget.tasks.resolved import ResolvedTask


class ClipLearner:
    """A CLIP model set up for one recipe (implements `Learner`)."""

    def __init__(
        self,
        model: ClipModel,
        module: ImageHead | TextHead | PairHead,
        train: PixelSet,
        *,
        task: ResolvedTask,
        augmentation: Augmentation | None,
        initial: State,
        tokens: Int[Tensor, "c t l"] | None,
    ) -> None:
        """Sets up `module` to be trained on these items, in place.

        Args:
            model: gives the normalisation, the device and the names.
            module: fresh, at theta_0.
            train: the training items.
            task: the items' task.
            augmentation: the recipe's; None makes batches deterministic: templates then alternate with the items.
            initial: every canonical tensor at the start.
            tokens: token ids of every class in every template, for a module that trains the text tower.
        """
        self.module: ImageHead | TextHead | PairHead = module
        self.device: torch.device = model.device
        self.output: None = None
        self.facts: Mapping[str, Any] = broken_facts({task.name: train.broken})
        self.num_items: int = len(train.labels)
        self._model, self._train, self._augmentation, self._initial = model, train, augmentation, initial
        self._left_out = _names_outside_theta(module)
        self._tokens = None if tokens is None else tokens.to(model.device)
        self._classes = [task.class_names, task.class_groups, task.templates]

    def batch(self, indices: Int[Tensor, " n"], generator: Generator) -> Batch:
        """The images at these indices; with a text head also one prompt per class, all in one template drawn here.

        Every call draws a template, so ranks and micro-batches differ in it.
        """
        chosen = indices.numpy()
        inputs = {"images": self._images(indices, generator)}
        if self._tokens is not None:
            inputs["tokens"] = self._tokens[:, self._template(indices, generator)]
        targets = torch.from_numpy(self._train.labels[chosen]).to(self._model.device)
        return Batch(inputs=inputs, targets=targets)

    @property
    def data_hash(self) -> str:
        """Hash of the decoded items, their labels, the labels' names, and the model's settings."""
        parts = [self._train.items_hash, self._model.settings, *self._classes]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def canonical(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All names of `Foundation.initial(recipe)`; for tensors that the module lacks, theta_0's own.

        Drops what is not part of theta: integer buffers (BatchNorm's counters), buffers that are not persistent (masks,
        the constant classifier), and a tied tensor's further names.

        Raises:
            FoundationError: the module does not have a name, or q comes without k and v.
        """
        own = {
            name.removeprefix("clip."): tensor
            for name, tensor in weights.items()
            if name not in self._left_out and tensor.is_floating_point()
        }
        fused = fused_names(own, self._model.swapped)
        if unknown := sorted(fused.keys() - self._initial.keys()):
            raise FoundationError(
                f"no such tensors in the model: {', '.join(unknown[:5])}; pass the module's own names"
            )
        return {name: fused.get(name, tensor) for name, tensor in self._initial.items()}

    def _images(self, indices: Int[Tensor, " n"], generator: Generator) -> Tensor:
        """The images at these indices as the model takes them, augmented."""
        pixels = torch.from_numpy(self._train.pixels[indices.numpy()])
        if self._augmentation is not None:
            pixels = augment(pixels, self._augmentation, generator)
        return self._model.normalisation(pixels.to(self._model.device))

    def _template(self, indices: Tensor, generator: Generator) -> int:
        assert self._tokens is not None
        num_templates = self._tokens.shape[1]
        if self._augmentation is None:
            return int(indices[0]) % num_templates
        return int(torch.randint(num_templates, (), generator=generator))


def _names_outside_theta(module: nn.Module) -> frozenset[str]:
    once = {name for name, _ in (*module.named_parameters(), *module.named_buffers())}
    return frozenset(once ^ module.state_dict().keys())
