"""Declared tasks of images and captions -> resolved ones: sources opened, captions read; nothing decoded."""

from collections.abc import Mapping

from rayforget.space.image_splits import sources_of
from rayforget.space.retrieval import RetrievalTask
from rayforget.tasks.images.known_hashes import HashStore
from rayforget.tasks.images.labelled import LabelledImages
from rayforget.tasks.images.opening import broken_limit, open_source, reading_of
from rayforget.tasks.keys import at_key
from rayforget.tasks.overlaps import drop_overlaps
from rayforget.tasks.resolve import halves
from rayforget.tasks.resolved import ResolvedTask, Retrieval, SplitItems, SplitName


def resolve_retrieval(tasks: Mapping[str, RetrievalTask], *, hashes: HashStore | None) -> dict[str, ResolvedTask]:
    """Opens every task's data.

    With `hashes`, items that this node has hashed before are not read again for their hashes.

    Raises:
        TaskError: the message starts with the key in the space file, e.g. `tasks.flickr.val: ...`.
    """
    return {name: _resolve(name, task, hashes) for name, task in tasks.items()}


def _resolve(name: str, task: RetrievalTask, hashes: HashStore | None) -> ResolvedTask:
    splits: dict[SplitName, SplitItems] = {}
    for key, source in sources_of(task).items():
        with at_key(f"tasks.{name}.{key}"):
            images = LabelledImages(open_source(source, several="captions"))
            images.reading = reading_of(source)
            if hashes is not None:
                images.remember_in(hashes)
            whole = SplitItems(key=f"tasks.{name}.{key}", source=images, max_broken=broken_limit(source))
            splits |= {key: whole} if key != "cut" else halves(whole, task.cut)
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
