"""A gzip file -> any span of its unpacked bytes, without unpacking it to the disk.

One pass keeps the decompressor's state at some places (as zlib's example zran does); a span is then unpacked from the
last place before it. States are thinned out as the file goes on, so that few of them serve any length.
"""

import threading
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

_MAGIC = b"\x1f\x8b"
_CHUNK = 2**18
_MOST_STATES = 64
_FIRST_SPACING = 2**20
_LOCK = threading.Lock()


def is_gzip(file: IO[bytes]) -> bool:
    """Whether an opened file begins as gzip does; leaves it at its beginning."""
    begin = file.read(len(_MAGIC))
    file.seek(0)
    return begin == _MAGIC


def read_span(file: Path, offset: int, size: int) -> bytes:
    """Unpacked bytes; fewer at the end of the file.

    Raises:
        EOFError: the file is cut off.
        zlib.error: the file is damaged.
    """
    found = file.stat()
    with _LOCK:  # one thread makes the states and the others wait for them
        states = _states(file, found.st_size, found.st_mtime_ns)
    unpacked, packed, state = states[bisect_right(states, offset, key=lambda each: each[0]) - 1]
    pieces, wanted = [], offset + size
    for start, piece, _, _ in _unpacked(file, unpacked, packed, state.copy()):
        pieces.append(piece[max(0, offset - start) : max(0, wanted - start)])
        if start + len(piece) >= wanted:
            break
    return b"".join(pieces)


@lru_cache(maxsize=16)
def _states(file: Path, length: int, modified: int) -> list[tuple[int, int, Any]]:
    """(place in the unpacked bytes, place in the file, decompressor there), ascending; the file's facts are the key."""
    first = zlib.decompressobj(wbits=31)
    kept, spacing = [(0, 0, first.copy())], _FIRST_SPACING
    for start, piece, packed, state in _unpacked(file, 0, 0, first):
        end = start + len(piece)
        if end - kept[-1][0] >= spacing and not state.eof:
            kept.append((end, packed, state.copy()))
        if len(kept) == _MOST_STATES:
            kept, spacing = kept[::2], 2 * spacing
    return kept


def _unpacked(file: Path, unpacked: int, packed: int, state: Any) -> Iterator[tuple[int, bytes, int, Any]]:
    """Pieces with their place, the place in the file after them, and the decompressor there; members follow on."""
    with file.open("rb") as opened:
        opened.seek(packed)
        while data := opened.read(_CHUNK):
            packed += len(data)
            while data:
                if state.eof:
                    data = data.lstrip(b"\0")  # padding
                    if not data:
                        break
                    state = zlib.decompressobj(wbits=31)
                piece, data = state.decompress(data), state.unused_data
                yield unpacked, piece, packed - len(data), state
                unpacked += len(piece)
    if not state.eof:
        raise EOFError(f"{file}: cut off")
