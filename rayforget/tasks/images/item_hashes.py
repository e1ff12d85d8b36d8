"""A source's items -> their content hashes, remembered by this object and, from run to run, by the node.

An item is read only if its hash is unknown: not yet computed by this object, and not in an earlier run for the same
file.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from rayforget.heartbeat import beating
from rayforget.tasks.images.contents import HASH_BYTES, content_hash
from rayforget.tasks.images.in_order import map_in_order
from rayforget.tasks.images.known_hashes import HashStore, KnownHashes
from rayforget.tasks.images.sources import Draws, ImageSource, KnowsFiles

_KEEP_EVERY = 2**16
"""Hashes are stored after this many items are read, so that a process that dies loses no more of them."""
_STAMPS_AT_ONCE = 256


class ItemHashes:
    """The content hashes of one source."""

    def __init__(self, source: ImageSource, read: Callable[[int], bytes]) -> None:
        """Reads nothing yet.

        Args:
            source: the items.
            read: returns an item's bytes.
        """
        self._source, self._read = source, read
        self._hashes = np.zeros((len(source), HASH_BYTES), dtype=np.uint8)
        self._hashed = np.zeros(len(source), dtype=np.bool_)
        self._known: KnownHashes | None = None

    def remember_in(self, store: HashStore) -> None:
        """Looks hashes up in `store` from now on and adds new ones; a source without files remembers nothing."""
        if isinstance(self._source, KnowsFiles):
            self._known = store.of(self._source.place, len(self._source))

    def forget(self) -> None:
        """Makes the next call read the items."""
        self._hashed[:] = False
        if self._known is not None:
            self._known.forget()
            self._known = None

    def of(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The items' hashes, shape (n, 16)."""
        wanted = np.unique(indices[~self._hashed[indices]])
        if self._known is not None and isinstance(self._source, KnowsFiles) and len(wanted):
            self._look_up_or_read(wanted, self._known, self._source)
        else:
            for _ in self._reading(wanted):
                pass
        return self._hashes[indices]

    def _look_up_or_read(self, wanted: NDArray[np.int64], known: KnownHashes, source: KnowsFiles) -> None:
        stamps = _stamps(wanted, source)  # taken before reading, so that a later change gets another stamp
        self._take_known(wanted, known, stamps)
        if self._hashed[wanted].all():
            return
        with known.one_at_a_time():
            self._take_known(wanted, known, stamps)
            missing = np.flatnonzero(~self._hashed[wanted]).tolist()
            read: list[int] = []
            for position, _ in zip(missing, self._reading(wanted[missing]), strict=True):
                read.append(position)
                if len(read) == _KEEP_EVERY or position == missing[-1]:
                    known.add([stamps[place] for place in read], self._hashes[wanted[read]])
                    read.clear()

    def _take_known(self, wanted: NDArray[np.int64], known: KnownHashes, stamps: list[bytes | None]) -> None:
        hashes, found = known.look_up(stamps)
        self._hashes[wanted[found]], self._hashed[wanted[found]] = hashes[found], True

    def _reading(self, wanted: NDArray[np.int64]) -> Iterator[None]:
        """Reads the items one by one for their hashes."""
        hashes = map_in_order(
            lambda index: content_hash(self._read(index)),
            wanted.tolist(),
            threads=1 if isinstance(self._source, Draws) else None,
        )
        for index, value in zip(wanted.tolist(), beating(hashes, "hash images", len(wanted)), strict=True):
            self._hashes[index] = np.frombuffer(value, dtype=np.uint8)
            self._hashed[index] = True
            yield


def _stamps(wanted: NDArray[np.int64], source: KnowsFiles) -> list[bytes | None]:
    """A stamp for each item; in threads, since a network disk answers slowly."""
    pieces = [wanted[start : start + _STAMPS_AT_ONCE].tolist() for start in range(0, len(wanted), _STAMPS_AT_ONCE)]
    found = beating(map_in_order(source.stamps, pieces), "look for changed files", len(pieces))
    return [stamp for piece in found for stamp in piece]
