"""A task on images -> what to know of its data before a sweep: what is passed over, taken sideways, or never right."""

import re
from collections.abc import Iterator

import numpy as np

from rayforget.heartbeat import beating
from rayforget.tasks.images.candidates import present
from rayforget.tasks.images.decoding import stored_header
from rayforget.tasks.images.in_order import map_in_order
from rayforget.tasks.images.labelled import LabelledImages
from rayforget.tasks.images.rgb import UPRIGHT
from rayforget.tasks.resolved import ResolvedTask, SplitItems

_NUM_LOOKED_AT = 1000
"""Images of a split whose headers are read for their orientation."""
_ID = re.compile(r"n\d{8}|\d+|\d+[._ -].+")
"""WordNet ids, numbers, and names behind a number."""


def image_remarks(task: ResolvedTask) -> Iterator[str]:
    """Sentences that begin with a key of the space; reads at most a thousand images of a split."""
    parts: dict[str, SplitItems] = {items.key: items for items in task.splits.values()}
    sources = [items.source for items in parts.values()]
    for key, items in parts.items():
        if items.source.passed_over:
            yield f"{key}: {items.source.passed_over}"
        if items.source.deeper:
            yield (
                f"{key}: no image lies in a class's folder itself, all lie deeper; if the classes' folders do too, "
                f"write path: {items.source.deeper}"
            )
        if not items.source.reading.upright:
            yield from _of_headers(key, items.source)
    for line in task.dropped:
        yield f"tasks.{task.name}: {line}"
    found = present(sources)
    if task.class_ids != task.class_names and task.class_groups is None and len(found) < task.num_classes:
        yield (
            f"tasks.{task.name}.suite: {len(found)} of the suite's {task.num_classes} classes occur in the data, and "
            f"each image is scored among all {task.num_classes}; write candidates: present to score among the "
            f"{len(found)}"
        )
    if task.class_names and all(map(_ID.fullmatch, task.class_names)):
        yield (
            f"tasks.{task.name}: prompts are made of names such as {task.class_names[0]!r}, which no text tower knows; "
            "give the names by `names: {FOLDER: name, ...}` (or a suite, for ImageNet's folders)"
        )


def _of_headers(key: str, images: LabelledImages) -> Iterator[str]:
    """How many of the images have an EXIF orientation that is ignored, and how many are transparent."""
    if images.stream is not None:
        return
    kept = np.flatnonzero(images.labels >= 0)
    chosen = kept[np.unique(np.linspace(0, len(kept) - 1, min(_NUM_LOOKED_AT, len(kept))).astype(np.int64))].tolist()
    found = map_in_order(lambda index: stored_header(images.read(index)), chosen)
    headers = list(beating(found, f"look at {key}", len(chosen)))
    turned = sum(header.orientation != UPRIGHT for header in headers)
    transparent = sum(header.is_transparent for header in headers)
    of = f"{len(chosen)} images" if len(chosen) == len(kept) else f"{len(chosen)} images looked at"
    if transparent:
        yield f"{key}: {transparent} of {of} have transparency, which is dropped: the colours below it are what counts"
    if turned:
        yield (
            f"{key}: {turned} of {of} are to be turned by their EXIF orientation, and are taken as they are stored "
            "(exif: ignore); write exif: apply to turn them"
        )
