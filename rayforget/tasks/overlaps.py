"""A task's splits -> an error if two share an image, or one has no items or too many empty files."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import TaskError
from rayforget.tasks.images.labelled import LabelledImages
from rayforget.tasks.keys import at_key
from rayforget.tasks.resolved import ResolvedTask
from rayforget.tasks.shared_items import refusal, shared_items

Part = tuple[LabelledImages, NDArray[np.int64]]
"""A source and the indices of those of its items that have a class."""
_SURELY_SOME = 50
"""With so many expected items, the chance of getting none is e^-50."""


def check_overlaps(task: ResolvedTask) -> None:
    """Refuses equal images (by their encoded bytes) in two of train, val and test.

    Only images whose byte size occurs in two splits are read, and drawn ones only if two splits draw from the same
    random streams. The halves of a cut cannot share an image.

    Raises:
        TaskError: two splits share items (the message names two and says how many there are), a split has more empty
            files than its max_broken, or an item is missing.
    """
    pairs = shared_items(
        (name, images.name(index), row.tobytes())
        for name, (images, indices), hashes in _hashed(task, refuse_empty=True)
        for index, row in zip(indices.tolist(), hashes, strict=True)
    )
    if pairs:
        raise TaskError(refusal(task.name, pairs, "image", "remove them from one, or write overlap: drop"))


def drop_overlaps(task: ResolvedTask) -> ResolvedTask:
    """The task with each image in one split alone: in `test` if it is there, else in `val` (or the cut).

    Images are equal by their encoded bytes. The sources' labels of what is left out become -1.

    Raises:
        TaskError: a split has nothing left, or an item is missing.
    """
    seen: dict[bytes, str] = {}
    dropped: list[str] = []
    for name, (images, indices), hashes in reversed(list(_hashed(task, refuse_empty=False))):
        rows = [row.tobytes() for row in hashes]
        elsewhere = [seen.get(row) for row in rows]
        left_out = indices[[part is not None for part in elsewhere]]
        images.labels[left_out] = -1
        if len(left_out) and not (images.labels >= 0).any():
            raise TaskError(f"tasks.{task.name}.{name}: all of its images are in other splits too; give it its own")
        for part in sorted({part for part in elsewhere if part is not None}):
            number = elsewhere.count(part)
            count = "1 image" if number == 1 else f"{number} images"
            dropped.append(f"{count} of {name} left out, found in {part} too (overlap: drop)")
        for row in rows:
            seen.setdefault(row, name)
    return replace(task, dropped=tuple(dropped))


def _hashed(task: ResolvedTask, *, refuse_empty: bool) -> Iterator[tuple[str, Part, NDArray[np.uint8]]]:
    """Each part's items that may be equal to another part's, with their content hashes."""
    parts: dict[str, Part] = {}
    sizes: dict[str, NDArray[np.int64] | None] = {}
    for split, items in task.splits.items():
        part = split if items.half is None else "cut"
        parts[part] = (items.source, np.flatnonzero(items.source.labels >= 0))
        if part not in sizes:
            with at_key(items.key):
                sizes[part] = _sizes(*parts[part])
                if refuse_empty:
                    _check_empty(*parts[part], sizes[part], items.max_broken)
    for name, (images, indices) in _candidates(parts, sizes).items():
        with at_key(f"tasks.{task.name}.{name}"):
            hashes = images.content_hashes(indices)
        yield name, (images, indices), hashes


def check_halves(task: ResolvedTask) -> None:
    """Refuses a cut with an empty half; reads its items only if that is at all likely.

    Raises:
        TaskError: a half is empty.
    """
    for items in task.splits.values():
        if items.half is not None and items.expected_count < _SURELY_SOME:
            _ = items.indices


def _sizes(images: LabelledImages, indices: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Byte sizes of the items; None if the source does not know them."""
    known: list[int] = []
    for index in indices.tolist():
        size = images.size(index)
        if size is None:
            return None
        known.append(size)
    return np.asarray(known, dtype=np.int64)


def _check_empty(
    images: LabelledImages, indices: NDArray[np.int64], sizes: NDArray[np.int64] | None, max_broken: int
) -> None:
    empty = [] if sizes is None else indices[sizes == 0].tolist()
    if len(empty) > max_broken or (empty and len(empty) == len(indices)):
        raise TaskError(
            f"{len(empty)} broken images of {len(indices)}, allowed {max_broken} (and one whole): "
            f"{images.name(empty[0])} (no bytes); repair or remove them, or raise max_broken"
        )


def _candidates(parts: dict[str, Part], sizes: dict[str, NDArray[np.int64] | None]) -> dict[str, Part]:
    """The items whose byte size occurs in two parts, except empty files; all items of a source without known sizes."""
    streams = {images.stream for images, _ in parts.values()}
    if len(parts) < 2 or (None not in streams and len(streams) == len(parts)):
        return {}
    known = {part: each for part, each in sizes.items() if each is not None}
    if len(known) < len(parts):
        return parts
    distinct, counts = np.unique(np.concatenate([np.unique(each) for each in known.values()]), return_counts=True)
    colliding = distinct[(counts > 1) & (distinct > 0)]
    return {part: (images, indices[np.isin(known[part], colliding)]) for part, (images, indices) in parts.items()}
