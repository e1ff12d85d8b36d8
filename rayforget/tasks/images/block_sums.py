"""A file's bytes -> one hash for each block of them, and whether a file still has the bytes that were hashed.

A disk that lost power, or its room, may give back zeros where pixels were. Every block is read again once per boot of
a node (a marker beside the file says so, for this file with this length, these times and this inode), not at every
start: it takes as long as reading the file.
"""

import hashlib
import os
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from rayforget.heartbeat import beating
from rayforget.tasks.images.in_order import map_in_order

BLOCK_BYTES = 2**24
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class BlockSums:
    """Hashes of the blocks of a stream, collected while it is written."""

    def __init__(self) -> None:
        self._sums: list[str] = []
        self._open, self._room = _hash(), BLOCK_BYTES

    def update(self, data: memoryview) -> None:
        """Adds bytes to the stream."""
        while len(data):
            self._open.update(data[: self._room])
            taken = min(len(data), self._room)
            data, self._room = data[taken:], self._room - taken
            if not self._room:
                self._close()

    def finish(self) -> list[str]:
        """The hashes of all blocks, the last of which may be shorter."""
        if self._room < BLOCK_BYTES:
            self._close()
        return self._sums

    def _close(self) -> None:
        self._sums.append(self._open.hexdigest())
        self._open, self._room = _hash(), BLOCK_BYTES


def first_damaged(file: Path, *, start: int, sums: Sequence[str], what: str) -> int | None:
    """The number of the first block whose bytes are not those that were hashed; None if all are.

    Args:
        file: the file.
        start: where its first block begins.
        sums: the blocks' hashes.
        what: the work's name for the listener of heartbeats.
    """

    def of_block(number: int) -> str:
        with file.open("rb") as opened:
            opened.seek(start + number * BLOCK_BYTES)
            digest = _hash()
            digest.update(opened.read(BLOCK_BYTES))
            return digest.hexdigest()

    with closing(map_in_order(of_block, range(len(sums)), threads=min(8, os.cpu_count() or 1))) as found:
        for number, each in enumerate(beating(found, what, len(sums))):
            if each != sums[number]:
                return number
    return None


def is_verified(file: Path) -> bool:
    """Whether this node verified the file since it was booted, and the file has not changed since."""
    marker = _marker(file)
    with suppress(OSError):
        return marker is not None and marker.read_text() == _state(file)
    return False


def mark_verified(file: Path) -> None:
    """Remembers that the file was verified; a disk that cannot be written forgets it, and it is verified again."""
    marker = _marker(file)
    if marker is not None:
        with suppress(OSError):
            marker.write_text(_state(file))


def _marker(file: Path) -> Path | None:
    """None on a system that has no name for a boot, where a file is verified at every start."""
    with suppress(OSError):
        return file.with_name(f"verified-{_BOOT_ID.read_text().strip()}")
    return None


def _state(file: Path) -> str:
    found = file.stat()
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def _hash() -> "hashlib.blake2b":
    return hashlib.blake2b(digest_size=16)
