"""Declared tasks of images and captions -> resolved ones: sources opened, captions read; nothing decoded."""

from collections.abc import Mapping

from rayforget.space.tasks.retrieval import RetrievalTask
from rayforget.tasks.images.known_hashes import HashStore
from rayforget.tasks.images.labelled import LabelledImages
from rayforget.tasks.images.opening import open_source
from rayforget.tasks.overlaps import drop_overlaps
from rayforget.tasks.resolved import ResolvedTask, Retrieval
from rayforget.tasks.splits import splits_of


def resolve_retrieval(tasks: Mapping[str, RetrievalTask], *, hashes: HashStore | None) -> dict[str, ResolvedTask]:
    """Opens every task's data.

    With `hashes`, items that this node has hashed before are not read again for their hashes.

    Raises:
        TaskError: the message starts with the key in the space file, e.g. `tasks.flickr.val: ...`.
    """
    return {name: _resolve(name, task, hashes) for name, task in tasks.items()}


def _resolve(name: str, task: RetrievalTask, hashes: HashStore | None) -> ResolvedTask:
    splits = splits_of(name, task, lambda _, source: LabelledImages(open_source(source, several="captions")), hashes)
    resolved = ResolvedTask(
        name=name,
        role=task.role,
        group=task.group,
        class_ids=(),
        class_names=(),
        templates=("{}",),
        splits=splits,
        metric=task.metric,
        retrieval=Retrieval(direction=task.direction, k=task.k),
    )
    return drop_overlaps(resolved) if task.overlap == "drop" else resolved
