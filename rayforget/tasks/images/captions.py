"""A split's images and their captions -> the distinct captions, and which of them are each image's."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Captions:
    """The captions of a split; equal ones are one caption that several images have."""

    texts: tuple[str, ...]
    """Each once, in the images' order."""
    images: NDArray[np.int64]
    """Positions of images, ascending; each makes a pair with the caption at its place in `owned`."""
    owned: NDArray[np.int64]
    """Indices into `texts`."""

    def digest(self, items_hash: str) -> str:
        """64 hex digits over the images' own hash and their captions."""
        digest = hashlib.sha256(f"captions {items_hash} {len(self.texts)}\n".encode())
        for text in self.texts:
            digest.update(text.encode() + b"\n")
        digest.update(self.images.astype("<i8").tobytes() + self.owned.astype("<i8").tobytes())
        return digest.hexdigest()


def captions_of(names: Sequence[str], labels: NDArray[np.int64]) -> Captions:
    """The captions of some images.

    Args:
        names: per label an image's captions, one in each line.
        labels: shape (num_images,): the images' labels.
    """
    place: dict[str, int] = {}
    of_label: dict[int, list[int]] = {}
    images, owned = [], []
    for image, label in enumerate(labels.tolist()):
        if label not in of_label:
            lines = dict.fromkeys(names[label].split("\n"))
            of_label[label] = [place.setdefault(line, len(place)) for line in lines]
        images += [image] * len(of_label[label])
        owned += of_label[label]
    return Captions(
        texts=tuple(place), images=np.asarray(images, dtype=np.int64), owned=np.asarray(owned, dtype=np.int64)
    )
