"""Many of a folder's files in few objects, for storages on which every file is a request.

A segment holds what was kept of some files, each with the stamp (a server's e-tag) that it had when it was read. The
files alone are the truth: an entry counts only while its file has this stamp, and without any segment the files are
read one by one. Eight segments of a level are merged into one of the next, so that n files take O(log n) segments and
each file is written O(log n) times.
"""

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from rayforget.errors import RecordError
from rayforget.record.index_file import checksum_of
from rayforget.record.storage.store import Store

T = TypeVar("T")
FOLDER = "segments"
LEAST = 64
"""Files of a segment; fewer are read one by one."""
_MERGED = 8
_READERS = 8
_LAYOUT = 1


class Segments(Generic[T]):
    """The segments of one folder; one process writes them, others read."""

    def __init__(self, store: Store, folder: str, *, encode: Callable[[T], Any], decode: Callable[[Any], T]) -> None:
        """Reads nothing yet.

        Args:
            store: the sweep's folder.
            folder: the folder whose files they hold.
            encode: turns what is kept of a file into JSON.
            decode: the inverse.
        """
        self._store, self._place = store, f"{FOLDER}/{folder}"
        self._encode, self._decode = encode, decode

    def entries(self) -> dict[str, tuple[str, T]]:
        """File name -> its stamp and what was kept of it; without segments that are damaged or another version's."""
        names = self._store.json_files(self._place)
        with ThreadPoolExecutor(_READERS) as readers:
            found = [entry for plain in readers.map(self._read, names) for entry in plain]
        try:
            return {name: (stamp, self._decode(kept)) for name, stamp, kept in found}
        except (ValueError, LookupError, TypeError):
            return {}

    def add(self, entries: Mapping[str, tuple[str, T]]) -> None:
        """Writes one more segment, and merges those that have become many."""
        self._write(0, [[name, stamp, self._encode(kept)] for name, (stamp, kept) in sorted(entries.items())])
        level = 0
        while len(small := self._of_level(level)) >= _MERGED:
            self._write(level + 1, [entry for name in small for entry in self._read(name)])
            for name in small:
                self._store.delete(f"{self._place}/{name}")
            level += 1

    def _of_level(self, level: int) -> list[str]:
        return [name for name in self._store.json_files(self._place) if name.startswith(f"{level}-")]

    def _write(self, level: int, plain: list[Any]) -> None:
        if not plain:
            return
        content = json.dumps(plain, separators=(",", ":")).encode()
        checksum = checksum_of(content, _LAYOUT)
        self._store.write(f"{self._place}/{level}-{checksum[:12].decode()}.json", checksum + b"\n" + content)

    def _read(self, name: str) -> list[Any]:
        try:
            checksum, _, content = self._store.read(f"{self._place}/{name}").partition(b"\n")
        except RecordError:  # merged meanwhile, or refused: the files themselves will tell
            return []
        found: list[Any] = json.loads(content) if checksum == checksum_of(content, _LAYOUT) else []
        return found
