"""Content hashes that this node has computed before, by the stamps of what was read: one file for each set of items.

A file is replaced as a whole, so that any number of processes may read and write it, on network disks too (where a
SQLite database with several writers is not safe): the last one wins, and what another wrote at the same moment is read
again one day. A file that is damaged is left out with a warning. The images decide: whoever finds other bytes than the
hash says calls `forget`.
"""

import hashlib
import logging
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rayforget.tasks.images.contents import HASH_BYTES
from rayforget.tasks.images.file_stamps import STAMP_BYTES
from rayforget.tasks.images.node_lock import node_lock

logger = logging.getLogger(__name__)

_HEAD = b"rayforget content hashes 1, BLAKE2b of 16 bytes\n"
"""Names the layout and the hash function: hashes of another kind are other hashes."""
_DIGEST_BYTES = 32
_WIDTH = STAMP_BYTES + HASH_BYTES
_MAX_SETS = 512
_TEMPORARY = ".writing-"

Entries = NDArray[np.uint8]
"""Shape (n, 32): stamps, and the content hashes of what they stand for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HashStore:
    """Where a node keeps them."""

    folder: Path
    writes: bool = True
    """False only looks: nothing is made or written."""

    @classmethod
    def in_cache(cls, cache: Path, *, writes: bool = True) -> "HashStore":
        """The store in a node's cache folder."""
        return cls(folder=cache / "hashes", writes=writes)

    def of(self, place: str, num_items: int) -> "KnownHashes":
        """Those of one set.

        Args:
            place: where the set lies: a folder, shards, a data set's split.
            num_items: the set's; no more than twice as many hashes are kept.
        """
        name = hashlib.blake2b(os.fsencode(place), digest_size=16).hexdigest()
        return KnownHashes(path=self.folder / name, writes=self.writes, most=2 * num_items)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownHashes:
    """The remembered hashes of one set of items."""

    path: Path
    writes: bool
    most: int
    """Entries that are kept."""

    def look_up(self, stamps: Sequence[bytes | None]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Hashes of the items with these stamps, shape (n, 16), and which of them are known, shape (n,)."""
        hashes, known = np.zeros((len(stamps), HASH_BYTES), np.uint8), np.zeros(len(stamps), np.bool_)
        entries = self._read()
        with_stamp = np.flatnonzero([stamp is not None for stamp in stamps])
        if not len(entries) or not len(with_stamp):
            return hashes, known
        asked = _rows([stamp for stamp in stamps if stamp is not None], STAMP_BYTES)
        places = np.minimum(np.searchsorted(_heads(entries), _heads(asked)), len(entries) - 1)
        same = (entries[places, :STAMP_BYTES] == asked).all(axis=1)
        hashes[with_stamp[same]] = entries[places[same], STAMP_BYTES:]
        known[with_stamp[same]] = True
        return hashes, known

    def add(self, stamps: Sequence[bytes | None], hashes: NDArray[np.uint8]) -> None:
        """Remembers hashes, shape (n, 16), of the items that have a stamp; a disk that refuses is no error."""
        kept = np.flatnonzero([stamp is not None for stamp in stamps])
        if not self.writes or not len(kept):
            return
        mine = np.hstack([_rows([stamp for stamp in stamps if stamp is not None], STAMP_BYTES), hashes[kept]])
        old = self._read()
        # Of two with one head the first is kept: the newer one.
        merged = np.concatenate([mine, old])
        _, first = np.unique(_heads(merged), return_index=True)
        if len(first) > self.most:  # entries of files that have changed since; or of such as nobody asked for now
            first = np.sort(first)[: self.most]
            first = first[np.argsort(_heads(merged[first]))]
        try:
            self._write(merged[first])
        except OSError as error:
            logger.warning(
                "%s: content hashes cannot be kept (%s); the images are read again next time", self.path, error
            )

    def forget(self) -> None:
        """Removes all of them: they do not say what the items hold."""
        if self.writes:
            self.path.unlink(missing_ok=True)

    @contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """Within, other processes of the node wait to read the same items: they find them known then."""
        with ExitStack() as stack:
            if self.writes:
                with suppress(OSError):  # no folder can be made here: nothing will be remembered either
                    stack.enter_context(node_lock(self.path.parent / "locks" / self.path.name, "hashing images"))
            yield

    def _read(self) -> Entries:
        """All entries, ascending in their heads; none where there is no file, or a damaged one."""
        nothing = np.zeros((0, _WIDTH), np.uint8)
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return nothing
        except OSError as error:
            logger.warning("%s: remembered content hashes cannot be read (%s); the images are", self.path, error)
            return nothing
        start = len(_HEAD) + _DIGEST_BYTES
        body = memoryview(data)[start:]
        if not data.startswith(_HEAD) or data[len(_HEAD) : start] != _digest(body) or len(body) % _WIDTH:
            logger.warning("%s: remembered content hashes are damaged and left out; the images are read", self.path)
            return nothing
        return np.frombuffer(body, np.uint8).reshape(-1, _WIDTH)

    def _write(self, entries: Entries) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        body = np.ascontiguousarray(entries).data.cast("B")
        temporary = self.path.with_name(f"{_TEMPORARY}{self.path.name}-{secrets.token_hex(8)}")
        try:
            with temporary.open("xb") as file:
                file.write(_HEAD + _digest(body))
                file.write(body)
            temporary.replace(self.path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _remove_oldest(self.path.parent)


def _rows(values: Sequence[bytes], width: int) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(values), np.uint8).reshape(-1, width)


def _heads(rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The first eight bytes of each row as a number."""
    return np.ascontiguousarray(rows[:, :8]).view(">u8").ravel().astype(np.uint64)


def _digest(body: memoryview) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()


def _remove_oldest(folder: Path) -> None:
    """Keeps the sets that were written last, and no file of a process that died while it wrote."""
    files = [path for path in folder.iterdir() if path.is_file()]
    if len(files) > _MAX_SETS:
        for path in sorted(files, key=_written)[: len(files) - _MAX_SETS]:
            path.unlink(missing_ok=True)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
