"""A loaded space -> its tasks, proven readable: labels, class names, prompts, and splits that share no item."""

from collections.abc import Iterator
from pathlib import Path

from rayforget.errors import SpaceError, TaskError
from rayforget.space.file.load import LoadedSpace
from rayforget.space.models import Space
from rayforget.tasks import overlaps
from rayforget.tasks.images import shown
from rayforget.tasks.images.known_hashes import HashStore
from rayforget.tasks.images.remarks import image_remarks
from rayforget.tasks.opening import Opened, open_tasks
from rayforget.tasks.resolved import ResolvedTask
from rayforget.tasks.text import overlaps as text_overlaps
from rayforget.tasks.text.remarks import text_remarks
from rayforget.tasks.text.resolved import ResolvedText
from rayforget.values.skipped import Skipped


def check_data(
    loaded: LoadedSpace, *, cache: Path | None = None, contents: bool = True, hashes: HashStore | None = None
) -> Opened:
    """Opens all data that the space names; decodes and tokenises nothing, and writes only to `hashes` and, of what lies
    at a URI, to the cache.

    Args:
        loaded: the space.
        cache: this node's cache folder.
        contents: also read items, to refuse contents shared by two splits, empty halves of a cut and empty files.
        hashes: the content hashes that this node remembers; new ones are added unless the store is read-only.

    Raises:
        SpaceError: names the file and line of the fault.
    """
    try:
        tasks = open_tasks(loaded.space.tasks, cache=cache, hashes=hashes)
        for task in tasks.values() if contents else ():
            match task:
                case ResolvedTask():
                    overlaps.check_overlaps(task)
                    overlaps.check_halves(task)
                case ResolvedText():
                    text_overlaps.check_overlaps(task)
    except TaskError as error:
        key = str(error).split(":", 1)[0]
        raise SpaceError(f"{loaded.where(key)}: {error}") from None
    return tasks


def data_remarks(tasks: Opened) -> tuple[str, ...]:
    """What to know of the data before a sweep; reads a few items of each split."""
    return tuple(
        line
        for task in tasks.values()
        for line in (image_remarks(task) if isinstance(task, ResolvedTask) else text_remarks(task))
    )


def class_lines(tasks: Opened) -> Iterator[tuple[str, str]]:
    """(subject, what to say about it) of the classes of all tasks on images."""
    for task in tasks.values():
        if isinstance(task, ResolvedTask):
            yield from shown.class_lines(task)


def skipped_rows(tasks: Opened) -> dict[str, Skipped]:
    """The key of a split of texts, e.g. `tasks.arc.val` -> its rows that cannot be used, if there are any."""
    texts = [task for task in tasks.values() if isinstance(task, ResolvedText)]
    return {items.key: items.broken for task in texts for items in task.splits.values() if items.broken}


def check_tasks(space: Space, *, cache: Path | None = None) -> None:
    """Opens all data of a recorded space; shared contents were refused when its sweep was started.

    Raises:
        TaskError: some data is no longer there.
    """
    open_tasks(space.tasks, cache=cache)
