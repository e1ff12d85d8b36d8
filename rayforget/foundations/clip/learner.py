"""A CLIP head's module and the decoded training set -> augmented batches, and theta_1 under canonical names."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Generator, Tensor, nn

from rayforget.errors import FoundationError
from rayforget.foundations.clip.attention import fused_names, split_names
from rayforget.foundations.clip.heads import ImageHead, PairHead, TextHead
from rayforget.foundations.clip.model import ClipModel
from rayforget.foundations.protocol import Batch, State
from rayforget.tasks.images.augment import Augmentation, augmented, draws
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
        resident: UInt8[Tensor, "n 3 h w"] | None = None,
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
            resident: the pixels of `train` on the device, if they lie there.
        """
        self.module: ImageHead | TextHead | PairHead = module
        self.device: torch.device = model.device
        self.output: None = None
        self.facts: Mapping[str, Any] = broken_facts({task.name: train.broken})
        self.num_items: int = len(train.labels)
        self._model, self._train, self._augmentation, self._initial = model, train, augmentation, initial
        self._resident = resident
        self._left_out = _names_outside_theta(module)
        self._tokens = None if tokens is None else tokens.to(model.device)
        self._classes = [task.class_names, task.class_groups, task.templates]

    @property
    def at_theta_0(self) -> Mapping[str, Tensor]:
        """The module's own names -> theta_0's values, on the CPU."""
        prefix = "" if isinstance(self.module, ImageHead) else "clip."
        return {f"{prefix}{name}": x for name, x in split_names(self._initial, self._model.swapped).items()}

    def batch(self, indices: Int[Tensor, " n"], generator: Generator) -> Batch:
        """The images at these indices; with a text head also one prompt per class, all in one template drawn here.

        Every call draws a template, so ranks and micro-batches differ in it.
        """
        return self.finished(self.raw(indices, generator).to(self.device))

    def raw(self, indices: Int[Tensor, " n"], generator: Generator) -> Batch:
        """The pixels at these indices (their places, if they lie on the device) and all that is random, on the CPU."""
        inputs = {"places": indices} if self._resident is not None else {"pixels": self._pixels(indices)}
        if self._augmentation is not None:
            inputs["draws"] = draws(len(indices), self._augmentation, generator)
        if self._tokens is not None:
            inputs["template"] = torch.tensor([self._template(indices, generator)])
        return Batch(inputs=inputs, targets=torch.from_numpy(self._train.labels[indices.numpy()]))

    def finished(self, raw: Batch) -> Batch:
        """The batch of what `raw` gave, which lies on the device: augmented and normalised there."""
        inputs = {"images": self._images(raw)}
        if self._tokens is not None:
            inputs["tokens"] = self._tokens.index_select(1, raw.inputs["template"])[:, 0]
        return Batch(inputs=inputs, targets=raw.targets)

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

    def _pixels(self, indices: Int[Tensor, " n"]) -> UInt8[Tensor, "n 3 h w"]:
        """Decoded pixels, in memory that a GPU copies from by itself if that is where they go."""
        pixels, chosen = self._train.pixels, indices.numpy()
        if self.device.type != "cuda":
            return torch.from_numpy(pixels[chosen])
        with torch.cuda.device(self.device):
            pinned = torch.empty(len(chosen), *pixels.shape[1:], dtype=torch.uint8, pin_memory=True)
        np.take(pixels, chosen, axis=0, out=pinned.numpy(), mode="clip")  # any other mode makes a copy first
        return pinned

    def _images(self, raw: Batch) -> Float[Tensor, "n 3 h w"]:
        """The raw batch's images as the model takes them, augmented."""
        there = self._resident
        pixels = raw.inputs["pixels"] if there is None else there.index_select(0, raw.inputs["places"])
        if self._augmentation is not None:
            pixels = augmented(pixels, self._augmentation, raw.inputs["draws"])
        return self._model.normalisation(pixels)

    def _template(self, indices: Tensor, generator: Generator) -> int:
        assert self._tokens is not None
        num_templates = self._tokens.shape[1]
        if self._augmentation is None:
            return int(indices[0]) % num_templates
        return int(torch.randint(num_templates, (), generator=generator))


def _names_outside_theta(module: nn.Module) -> frozenset[str]:
    once = {name for name, _ in (*module.named_parameters(), *module.named_buffers())}
    return frozenset(once ^ module.state_dict().keys())
