"""Content hashes that this node has computed before, by the stamps of what was read: one file per set of items.

A file is replaced as a whole, so that any number of processes may read and write it, even on network disks (where a
SQLite database with several writers is not safe): the last writer wins, and what another wrote at the same moment is
computed again some day. A damaged file is ignored with a warning. The images have the last word: code that finds bytes
other than the hash says calls `forget`.
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
"""Identifies the layout and the hash function, so that hashes of another kind are not mistaken for these."""
_DIGEST_BYTES = 32
_WIDTH = STAMP_BYTES + HASH_BYTES
_MAX_SETS = 512
_TEMPORARY = ".writing-"

Entries = NDArray[np.uint8]
"""Shape (n, 32): stamps, each followed by the content hash it stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HashStore:
    """The folder in which a node keeps its hashes."""

    folder: Path
    writes: bool = True
    """False makes it read-only."""

    @classmethod
    def in_cache(cls, cache: Path, *, writes: bool = True) -> "HashStore":
        """The store in a node's cache folder."""
        return cls(folder=cache / "hashes", writes=writes)

    def of(self, place: str, num_items: int) -> "KnownHashes":
        """The hashes of one set.

        Args:
            place: where the set lies: a folder, shards, a data set's split.
            num_items: the size of the set; at most twice as many hashes are kept.
        """
        name = hashlib.blake2b(os.fsencode(place), digest_size=16).hexdigest()
        return KnownHashes(path=self.folder / name, writes=self.writes, most=2 * num_items)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownHashes:
    """The remembered hashes of one set of items."""

    path: Path
    writes: bool
    most: int
    """The most entries to keep."""

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
        """Remembers hashes, shape (n, 16), of the items that have a stamp; a failing disk is no error."""
        kept = np.flatnonzero([stamp is not None for stamp in stamps])
        if not self.writes or not len(kept):
            return
        mine = np.hstack([_rows([stamp for stamp in stamps if stamp is not None], STAMP_BYTES), hashes[kept]])
        old = self._read()
        # If two entries have the same head, the first is kept: the newer one.
        merged = np.concatenate([mine, old])
        _, first = np.unique(_heads(merged), return_index=True)
        if len(first) > self.most:  # entries of files changed since, or not asked for now
            first = np.sort(first)[: self.most]
            first = first[np.argsort(_heads(merged[first]))]
        try:
            self._write(merged[first])
        except OSError as error:
            logger.warning(
                "%s: content hashes cannot be kept (%s); the images are read again next time", self.path, error
            )

    def forget(self) -> None:
        """Removes all hashes of the set, since they are not those of the items."""
        if self.writes:
            self.path.unlink(missing_ok=True)

    @contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """Lets one process of the node at a time read the same items; the others then find them known."""
        with ExitStack() as stack:
            if self.writes:
                with suppress(OSError):  # without a folder nothing will be remembered anyway
                    stack.enter_context(node_lock(self.path.parent / "locks" / self.path.name, "hashing images"))
            yield

    def _read(self) -> Entries:
        """All entries, ascending in their heads; none if the file is missing or damaged."""
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
    """Keeps the sets written last, and no file of a process that died while writing."""
    files = [path for path in folder.iterdir() if path.is_file()]
    if len(files) > _MAX_SETS:
        for path in sorted(files, key=_written)[: len(files) - _MAX_SETS]:
            path.unlink(missing_ok=True)


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
