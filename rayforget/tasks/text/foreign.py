"""Code of lm-eval's tasks, or of a user's own task file, that fails -> an error that says where and at what."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rayforget.errors import RayforgetError, TaskError


@contextmanager
def told_of(name: str, doing: str) -> Iterator[None]:
    """Within the block an error of a task's templates and functions becomes a TaskError.

    Args:
        name: the document, or the task, that it is about.
        doing: what was tried, behind `cannot`.

    Raises:
        TaskError: in one line, with the place in the task's code that failed.
    """
    try:
        yield
    except (RayforgetError, MemoryError, OSError):
        raise
    except Exception as error:  # whatever a task's code raises
        raise TaskError(f"{name}: cannot {doing} ({in_words(error)}); correct the task's file or its data") from error


def in_words(error: Exception) -> str:
    """`KeyError: 'x' at utils.py:12`: the error, and the innermost place in the task's functions if it came through
    them, and not through a template."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    places = [
        f"{Path(frame.f_code.co_filename).name}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if _is_of_task(str(frame.f_globals.get("__name__", "")))
    ]
    return f"{said} at {places[-1]}" if places else said


def _is_of_task(module: str) -> bool:
    """Whether lm-eval loaded the module from beside a task's file; others than its own it names by their whole path."""
    return module.startswith(("/", "lm_eval.tasks.")) and not module.startswith("lm_eval.tasks._")
