"""The files of one folder of the record, each read once: they never change, though they may be deleted."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

from rayforget.record.store import Store

T = TypeVar("T")
_READERS = 16
"""Files read at a time, since a remote store answers after tens of milliseconds."""


class Known(Generic[T]):
    """What this process has read of a folder; asking again costs a listing and reading new files."""

    def __init__(self, store: Store, folder: str, decode: Callable[[bytes, str], T]) -> None:
        """Reads nothing yet; `decode` turns a file's bytes, and its name for messages, into what is kept of it.

        The folder may be the store's own, `""`.
        """
        self._store, self._folder, self._decode = store, folder, decode
        self._known: dict[str, T] = {}
        self._decoding = Lock()
        """Decoding takes many times a file's size and is no faster in several threads, so one at a time."""

    def everything(self) -> list[T]:
        """The contents of all files, by file name.

        Raises:
            RecordError: a file is damaged.
        """
        names = self._store.json_files(self._folder)
        for gone in self._known.keys() - set(names):
            del self._known[gone]
        fresh = [name for name in names if name not in self._known]
        with ThreadPoolExecutor(_READERS) as readers:
            self._known.update(zip(fresh, readers.map(self._read, fresh), strict=True))
        return [self._known[name] for name in names]

    def one(self, name: str) -> T:
        """The contents of one file; raises RecordError if it is missing or damaged."""
        if name not in self._known:
            self._known[name] = self._read(name)
        return self._known[name]

    def _read(self, name: str) -> T:
        path = f"{self._folder}/{name}".removeprefix("/")
        data = self._store.read(path)
        with self._decoding:
            return self._decode(data, f"{self._store}/{path}")
