"""Images, each with its own texts -> batches of pairs for the contrastive loss."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy.typing import NDArray
from torch import Generator, Tensor

from rayforget.distributed import rank
from rayforget.foundations.clip.heads import PairHead
from rayforget.foundations.clip.learner import ClipLearner
from rayforget.foundations.clip.model import ClipModel
from rayforget.foundations.protocol import Batch, State
from rayforget.tasks.images.augment import Augmentation
from rayforget.tasks.images.captions import Captions
from rayforget.tasks.images.pixels import PixelSet
from rayforget.tasks.resolved import ResolvedTask


class PairLearner(ClipLearner):
    """A CLIP model set up for the contrastive loss (implements `Learner`)."""

    def __init__(
        self,
        model: ClipModel,
        module: PairHead,
        train: PixelSet,
        *,
        task: ResolvedTask,
        augmentation: Augmentation,
        initial: State,
        texts: Int[Tensor, "t l"],
        captions: Captions,
        resident: UInt8[Tensor, "n 3 h w"] | None = None,
    ) -> None:
        """Sets up `module` to be trained on these pairs, in place.

        Args:
            model: gives the normalisation, the device and the names.
            module: fresh, at theta_0.
            train: the training images.
            task: the images' task.
            augmentation: the recipe's.
            initial: every canonical tensor at the start.
            texts: token ids of every text.
            captions: which of them are each image's: its captions, or its class in each template.
            resident: the images' pixels on the device, if they lie there.
        """
        super().__init__(
            model,
            module,
            train,
            task=task,
            augmentation=augmentation,
            initial=initial,
            tokens=None,
            resident=resident,
        )
        self._texts, self._captions = texts.to(model.device), captions
        self._starts = np.searchsorted(captions.images, np.arange(self.num_items + 1))

    def raw(self, indices: Int[Tensor, " n"], generator: Generator) -> Batch:
        """The pixels at these indices, each with one of its texts, drawn here; every rank has as many."""
        images = super().raw(indices, generator).inputs
        drawn = torch.rand(len(indices), generator=generator).numpy()
        first, after = self._starts[indices.numpy()], self._starts[indices.numpy() + 1]
        pairs = first + np.minimum((drawn * (after - first)).astype(np.int64), after - first - 1)
        places = torch.arange(len(indices)) + rank() * len(indices)
        texts = torch.from_numpy(self._captions.owned[pairs])
        return Batch(inputs={**images, "texts": texts}, targets=torch.cat([places, places]))

    def finished(self, raw: Batch) -> Batch:
        """The images, augmented and normalised, with the tokens of their texts."""
        tokens = self._texts[raw.inputs["texts"]]
        return Batch(inputs={"images": self._images(raw), "tokens": tokens}, targets=raw.targets)

    @property
    def data_hash(self) -> str:
        """Hash of the decoded images, their labels and their texts."""
        return hashlib.sha256(f"{super().data_hash} {self._captions.digest('')}".encode()).hexdigest()[:32]


def class_prompts(labels: NDArray[np.int64], groups: Sequence[Sequence[int]], num_templates: int) -> Captions:
    """The texts of images with classes: text c * num_templates + t is class c in template t.

    Args:
        labels: shape (num_images,).
        groups: the classes of each label.
        num_templates: number of templates.
    """
    of_label = [[c * num_templates + t for c in classes for t in range(num_templates)] for classes in groups]
    owned = [of_label[label] for label in labels.tolist()]
    return Captions(
        texts=(),
        images=np.repeat(np.arange(len(labels)), [len(each) for each in owned]),
        owned=np.concatenate([np.asarray(each, dtype=np.int64) for each in owned]),
    )
