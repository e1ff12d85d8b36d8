"""A task's splits -> an error where an image stands in two of them."""

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import TaskError
from rayforget.tasks.images.labelled import LabelledImages
from rayforget.tasks.keys import at_key
from rayforget.tasks.resolved import ResolvedTask

Part = tuple[LabelledImages, NDArray[np.int64]]
"""A source and the indices of its items that have a class."""


def check_overlaps(task: ResolvedTask) -> None:
    """Refuses equal images (by their encoded bytes) in two of train, val and test.

    Only images whose byte size occurs in two splits are read, and drawn ones only where two splits draw from the same
    random streams. The halves of a cut cannot share an image.

    Raises:
        TaskError: names two such items and says how many there are.
    """
    parts: dict[str, Part] = {}
    for split, items in task.splits.items():
        part = split if items.half is None else "cut"
        parts[part] = (items.source, np.flatnonzero(items.source.labels >= 0))
    first_with: dict[bytes, tuple[str, str]] = {}
    shared: list[str] = []
    for name, (images, indices) in _candidates(parts).items():
        with at_key(f"tasks.{task.name}.{name}"):
            hashes = images.content_hashes(indices)
        for index, row in zip(indices.tolist(), hashes, strict=True):
            other_part, other = first_with.setdefault(row.tobytes(), (name, images.name(index)))
            if other_part != name:
                shared.append(f"{other} ({other_part}) and {images.name(index)} ({name})")
    if shared:
        raise TaskError(
            f"tasks.{task.name}: the same image in two splits: {shared[0]}; {len(shared)} such images; "
            "splits must not overlap: remove them from one"
        )


def _candidates(parts: dict[str, Part]) -> dict[str, Part]:
    """The items whose byte size occurs in two parts; all of them where a source does not know sizes."""
    streams = {images.stream for images, _ in parts.values()}
    if len(parts) < 2 or (None not in streams and len(streams) == len(parts)):
        return {}
    sizes: dict[str, NDArray[np.int64]] = {}
    for part, (images, indices) in parts.items():
        known = [images.size(index) for index in indices.tolist()]
        if any(size is None for size in known):
            return parts
        sizes[part] = np.asarray(known, dtype=np.int64)
    distinct, counts = np.unique(np.concatenate([np.unique(each) for each in sizes.values()]), return_counts=True)
    colliding = distinct[counts > 1]
    return {part: (images, indices[np.isin(sizes[part], colliding)]) for part, (images, indices) in parts.items()}
