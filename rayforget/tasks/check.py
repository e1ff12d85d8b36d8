"""A loaded space -> its tasks, proven readable: labels, class names, prompts, and splits that share no item."""

from rayforget.errors import SpaceError, TaskError
from rayforget.space.load import LoadedSpace
from rayforget.space.models import Space
from rayforget.tasks import overlaps
from rayforget.tasks.opening import Opened, open_tasks
from rayforget.tasks.resolved import ResolvedTask
from rayforget.tasks.text import overlaps as text_overlaps
from rayforget.tasks.text.resolved import ResolvedText


def check_data(loaded: LoadedSpace, *, contents: bool = True) -> Opened:
    """Opens all data that the space names; decodes, tokenises and writes nothing.

    Args:
        loaded: the space.
        contents: also read items, to refuse contents that two splits share, empty halves of a cut and empty files.

    Raises:
        SpaceError: with the file and line of what is wrong.
    """
    try:
        tasks = open_tasks(loaded.space.tasks)
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
    open_tasks(space.tasks)
