"""A loaded space -> its tasks, proven readable: folders, labels, class names, and splits that share no item."""

from rayforget.errors import SpaceError, TaskError
from rayforget.space.load import LoadedSpace
from rayforget.space.models import Space
from rayforget.tasks.resolve import check_overlaps, resolve_tasks
from rayforget.tasks.resolved import ResolvedTask


def check_data(loaded: LoadedSpace, *, contents: bool = True) -> dict[str, ResolvedTask]:
    """Opens all data that the space names; decodes and writes nothing.

    Args:
        loaded: the space.
        contents: also read every item to refuse contents that two splits share.

    Raises:
        SpaceError: with the file and line of what is wrong.
    """
    try:
        tasks = resolve_tasks(loaded.space.tasks)
        if contents:
            for task in tasks.values():
                check_overlaps(task)
    except TaskError as error:
        key = str(error).split(":", 1)[0]
        raise SpaceError(f"{loaded.where(key)}: {error}") from None
    return tasks


def check_tasks(space: Space) -> None:
    """Opens all data of a recorded space; what two splits share was refused when its sweep was started.

    Raises:
        TaskError: something is no longer there.
    """
    resolve_tasks(space.tasks)
