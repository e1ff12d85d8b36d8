"""Declared tasks of any kind -> resolved ones: data opened, labels and prompts settled."""

from collections.abc import Mapping
from pathlib import Path

from rayforget.space.tasks.any_task import Task, image_tasks
from rayforget.space.tasks.data import ZeroShotTask
from rayforget.space.tasks.retrieval import RetrievalTask
from rayforget.tasks.images.known_hashes import HashStore
from rayforget.tasks.resolve import resolve_tasks
from rayforget.tasks.resolve_retrieval import resolve_retrieval
from rayforget.tasks.resolved import ResolvedTask
from rayforget.tasks.staging import staged
from rayforget.tasks.text.resolve import resolve_text_tasks
from rayforget.tasks.text.resolved import ResolvedText

Opened = Mapping[str, ResolvedTask | ResolvedText]
"""A space's tasks, each on images or on texts."""


def open_tasks(tasks: Mapping[str, Task], *, cache: Path | None = None, hashes: HashStore | None = None) -> Opened:
    """Opens every task's data, fetching what lies at a URI; decodes and tokenises nothing.

    Args:
        tasks: by name.
        cache: this node's cache folder, for what is fetched; None refuses URIs.
        hashes: the content hashes that this node remembers; None reads all files.

    Raises:
        TaskError: the message starts with the key in the space file, e.g. `tasks.photo.val: ...`.
    """
    tasks = staged(tasks, cache)
    images = image_tasks(tasks)
    texts = {name: task for name, task in tasks.items() if name not in images}
    opened: dict[str, ResolvedTask | ResolvedText] = {
        **resolve_tasks({n: t for n, t in images.items() if isinstance(t, ZeroShotTask)}, hashes=hashes),
        **resolve_retrieval({n: t for n, t in images.items() if isinstance(t, RetrievalTask)}, hashes=hashes),
        **resolve_text_tasks(texts),
    }
    return {name: opened[name] for name in tasks}
