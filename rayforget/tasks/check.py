"""A loaded space -> its tasks, proven readable: labels, class names, prompts, and splits that share no item."""

from collections.abc import Mapping

from rayforget.errors import SpaceError, TaskError
from rayforget.space.load import LoadedSpace
from rayforget.space.models import Space
from rayforget.space.tasks import image_tasks
from rayforget.tasks import overlaps
from rayforget.tasks.images.known_hashes import HashStore
from rayforget.tasks.resolve import resolve_tasks
from rayforget.tasks.resolved import ResolvedTask
from rayforget.tasks.text import overlaps as text_overlaps
from rayforget.tasks.text.resolve import resolve_text_tasks
from rayforget.tasks.text.resolved import ResolvedText

Resolved = Mapping[str, ResolvedTask] | Mapping[str, ResolvedText]
"""A space's tasks: all on images or all on texts, as its foundation is."""


def check_data(loaded: LoadedSpace, *, contents: bool = True, hashes: HashStore | None = None) -> Resolved:
    """Opens all data that the space names; decodes and tokenises nothing, and writes nothing but `hashes`.

    Args:
        loaded: the space.
        contents: also read items, to refuse contents that two splits share, empty halves of a cut and empty files.
        hashes: content hashes that this node remembers; what is read is kept there, unless it only looks.

    Raises:
        SpaceError: with the file and line of what is wrong.
    """
    try:
        tasks = _resolve(loaded.space, hashes)
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


def check_tasks(space: Space) -> None:
    """Opens all data of a recorded space; what two splits share was refused when its sweep was started.

    Raises:
        TaskError: something is no longer there.
    """
    _resolve(space, None)


def _resolve(space: Space, hashes: HashStore | None) -> Resolved:
    if space.foundation.kind == "causal_lm":
        return resolve_text_tasks(space.tasks)
    return resolve_tasks(image_tasks(space.tasks), hashes=hashes)
