"""The files of one folder of the record, each read once: they never change, though they may be deleted."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Generic, Protocol, TypeVar

from rayforget.record.segments import LEAST, Segments
from rayforget.record.storage.store import Store

T = TypeVar("T")
_READERS = 16
"""Files read at a time, since a remote store answers after tens of milliseconds."""


class Index(Protocol[T]):
    """File name -> its stamp when it was read, and what was kept of it; a cache that may vanish or be damaged."""

    def entries(self) -> Mapping[str, tuple[str, T]]:
        """All that is indexed; empty if there is nothing that can be trusted."""

    def keep(self, entries: Mapping[str, tuple[str, T]], /) -> None:
        """Replaces what is indexed."""


class Known(Generic[T]):
    """What this process has read of a folder; asking again costs a listing and reading new files."""

    def __init__(
        self,
        store: Store,
        folder: str,
        decode: Callable[[bytes, str], T],
        *,
        index: Index[T] | None = None,
        segments: Segments[T] | None = None,
    ) -> None:
        """Reads nothing yet.

        Args:
            store: the folder's store.
            folder: its name; may be the store's own, `""`.
            decode: turns a file's bytes, and its name for messages, into what is kept of it.
            index: what earlier processes on this machine kept of many files; consulted and renewed when many are to be
                read.
            segments: what the process that writes kept of many files beside them; consulted likewise.
        """
        self._index, self._segments = index, segments
        self._in_segments: set[str] | None = None
        """Files that this process need not put into a segment; None before it has asked."""
        self._store, self._folder, self._decode = store, folder, decode
        self._known: dict[str, T] = {}
        self._decoding = Lock()
        """Decoding takes many times a file's size and is no faster in several threads, so one at a time."""

    def everything(self) -> list[T]:
        """The contents of all files, by file name.

        Raises:
            RecordError: a file is damaged.
        """
        stamps = self._store.json_files(self._folder)
        for gone in self._known.keys() - stamps.keys():
            del self._known[gone]
        self._recall(stamps)
        fresh = [name for name in stamps if name not in self._known]
        with ThreadPoolExecutor(_READERS) as readers:
            self._known.update(zip(fresh, readers.map(self._read, fresh), strict=True))
        if self._index is not None and len(fresh) >= LEAST:
            self._index.keep({name: (stamp, self._known[name]) for name, stamp in stamps.items() if stamp is not None})
        return [self._known[name] for name in stamps]

    def _recall(self, stamps: Mapping[str, str | None]) -> None:
        """Takes from the index, and from segments, what they know of files that are as they were."""
        for source in (self._index, self._segments):
            if source is None or len(stamps.keys() - self._known.keys()) < LEAST:
                continue
            for name, (stamp, kept) in source.entries().items():
                if stamp == stamps.get(name):
                    self._known.setdefault(name, kept)

    def wrote(self, name: str, content: T) -> None:
        """Takes note of a file that this process, which alone may, wrote or caused to be written.

        Of a folder with segments, what is in none is put into one from time to time.
        """
        if self._segments is None:
            return
        self._known[name] = content
        if self._in_segments is None:
            self._in_segments = set(self._segments.entries())
        if len(self._known.keys() - self._in_segments) < LEAST:
            return
        stamps = self._store.json_files(self._folder)
        fresh = {
            each: (stamp, self._known[each])
            for each, stamp in stamps.items()
            if stamp is not None and each in self._known and each not in self._in_segments
        }
        self._segments.add(fresh)
        self._in_segments |= self._known.keys()

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
