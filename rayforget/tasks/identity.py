"""Opened tasks -> hashes of what a sweep's trainings and scores depend on besides the items of `val` and `test`."""

import hashlib
import json
from collections.abc import Iterator

from rayforget.tasks.images.captions import captions_of
from rayforget.tasks.images.contents import items_hash
from rayforget.tasks.keys import at_key
from rayforget.tasks.opening import Opened
from rayforget.tasks.resolved import ResolvedTask, SplitItems
from rayforget.tasks.text.documents import documents_hash


def data_identity(tasks: Opened) -> dict[str, str]:
    """The key of each training set and of each task with prompts -> 32 hex digits.

    `tasks.photo.train` is over contents, labels and captions, in order; `tasks.photo` over classes and templates, whose
    names may come from folders. Reads the training images for their content hashes unless these are remembered.

    Raises:
        TaskError: an image cannot be read at all.
    """
    return dict(_hashes(tasks))


def _hashes(tasks: Opened) -> Iterator[tuple[str, str]]:
    for name, task in tasks.items():
        if isinstance(task, ResolvedTask):
            named = [task.class_ids, task.class_names, task.class_groups, task.templates]
            yield f"tasks.{name}", _digest(json.dumps(named))
        if "train" not in task.splits:
            continue
        key = f"tasks.{name}.train"
        if isinstance(task, ResolvedTask):
            captions = task.several_labels or task.retrieval is not None
            yield key, _images(task.splits["train"], captions=captions)
        else:
            yield key, documents_hash(task.splits["train"].documents)


def _images(items: SplitItems, *, captions: bool) -> str:
    indices = items.indices
    labels = items.source.labels[indices]
    with at_key(items.key):
        images = items_hash(items.source.content_hashes(indices), labels)
    return _digest(captions_of(items.source.class_names or (), labels).digest(images) if captions else images)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
