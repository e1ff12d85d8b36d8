"""One driver at a time: a sweep in a local folder is locked while a driver has it; the lock dies with its process."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rayforget.errors import RecordError
from rayforget.record.store import Store, storage_errors


@contextmanager
def sole_driver(sweep: Store) -> Iterator[None]:
    """Holds the sweep in this folder; remote storage has no locks, so there the user must see to it.

    Raises:
        RecordError: another driver has it.
        StorageError: the folder cannot be written.
    """
    if sweep.local is None:
        yield
        return
    with _lock_file(sweep.local) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecordError(
                f"sweep {sweep.local.name} is running in another process; wait for it or end it with Ctrl-C"
            ) from None
        yield


def _lock_file(sweep: Path) -> TextIO:
    path = sweep / ".driver"
    with storage_errors(f"{path}, which keeps other drivers away, cannot be written"):
        return path.open("w")
