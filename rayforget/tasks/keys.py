"""Errors about data -> the same errors, prefixed with the space file's key that names the data."""

from collections.abc import Iterator
from contextlib import contextmanager

from rayforget.errors import TaskError


@contextmanager
def at_key(key: str) -> Iterator[None]:
    """Prefixes the message of a TaskError raised inside with the key (`tasks.photo.val`) and a colon."""
    try:
        yield
    except TaskError as error:
        raise TaskError(f"{key}: {error}") from error
