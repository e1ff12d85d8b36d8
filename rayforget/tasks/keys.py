"""Errors about data -> the same errors at the key of the space file that names the data."""

from collections.abc import Iterator
from contextlib import contextmanager

from rayforget.errors import TaskError


@contextmanager
def at_key(key: str) -> Iterator[None]:
    """Puts the key (`tasks.photo.val`) and a colon in front of the message of a TaskError raised inside."""
    try:
        yield
    except TaskError as error:
        raise TaskError(f"{key}: {error}") from error
