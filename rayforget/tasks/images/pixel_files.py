"""Decoded images -> one folder with pixels.npy and items.json, written under a temporary name, then renamed.

items.json holds the hashes of the blocks of pixels.npy and one of itself.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import TaskError
from rayforget.tasks.cache_folder import written_whole
from rayforget.tasks.images.block_sums import BlockSums, first_damaged, is_verified, mark_verified

_PIXELS, _ITEMS = "pixels.npy", "items.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedImage:
    """One image's pixels."""

    pixels: NDArray[np.uint8]
    """Shape (3, H, W)."""
    changed: bool = False
    """See `OpenedImage`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPixels:
    """The contents of one folder of the cache."""

    pixels: NDArray[np.uint8]
    """Shape (num_items, 3, H, W), memory-mapped read-only."""
    broken: Mapping[int, str]
    """Position of each broken item among those asked for -> what is wrong with it."""
    changed: frozenset[int]
    """Positions of the items whose orientation or mode was changed before they were decoded."""
    sums: tuple[str, ...]
    """Hashes of the blocks of pixels."""


def read_pixels(folder: Path) -> StoredPixels | None:
    """The folder's pixels; None if there are none or the disk kept only a part of them."""
    try:
        items = json.loads((folder / _ITEMS).read_text())
        pixels = np.load(folder / _PIXELS, mmap_mode="r")
    except (FileNotFoundError, EOFError, ValueError):  # the last two: a file cut off in or after its header
        return None
    if not isinstance(items, dict) or items.pop("seal", None) != _seal(items):
        return None
    return StoredPixels(
        pixels=pixels,
        broken={int(position): reason for position, reason in items["broken"].items()},
        changed=frozenset(items["changed"]),
        sums=tuple(items["sums"]),
    )


def verified_pixels(folder: Path) -> StoredPixels | None:
    """The folder's pixels if this node has verified them since it was booted; reads no pixel."""
    return read_pixels(folder) if is_verified(folder / _PIXELS) else None


def verify_pixels(folder: Path, what: str) -> StoredPixels | str | None:
    """The folder's pixels, every block of them read; what is damaged; None if there are none.

    Args:
        folder: the folder.
        what: the split's name for the listener of heartbeats.
    """
    stored = read_pixels(folder)
    if stored is None:
        return None
    file = folder / _PIXELS
    damaged = first_damaged(
        file, start=file.stat().st_size - stored.pixels.nbytes, sums=stored.sums, what=f"verify {what}"
    )
    if damaged is not None:
        return f"{file}: block {damaged + 1} of {len(stored.sums)} has other bytes than were written"
    mark_verified(file)
    return stored


def write_pixels(
    folder: Path,
    decoded: Iterator[DecodedImage | str],
    count: int,
    shape: tuple[int, int, int],
    *,
    check: Callable[[Mapping[int, str]], None],
) -> StoredPixels:
    """Writes the folder and reads it back; if two processes do so at once, both succeed.

    Args:
        folder: the target.
        decoded: per item, its pixels or what is wrong with it.
        count: number of items.
        shape: (3, H, W).
        check: raises if there are too many broken items so far.

    Raises:
        TaskError: the disk is full.
    """
    needed, free = count * prod(shape), shutil.disk_usage(folder.parent).free
    if needed > free:
        sizes = f"{needed / 2**30:.1f} GiB needed, {free / 2**30:.1f} GiB free"
        raise TaskError(f"{folder.parent}: no room for decoded images: {sizes}; set resources.cache to a larger disk")
    with written_whole(folder, is_whole=lambda there: read_pixels(there) is not None) as complete:
        broken: dict[int, str] = {}
        changed: list[int] = []
        sums = BlockSums()
        with (complete / _PIXELS).open("wb") as file:
            _write_header(file, (count, *shape))
            for position, image in enumerate(decoded):
                if isinstance(image, str):
                    broken[position] = image
                    check(broken)
                    continue
                data = np.ascontiguousarray(image.pixels).data.cast("B")
                sums.update(data)
                file.write(data)
                if image.changed:
                    changed.append(position)
            file.seek(0)
            _write_header(file, (count - len(broken), *shape))
        items = {"broken": {str(at): why for at, why in broken.items()}, "changed": changed, "sums": sums.finish()}
        (complete / _ITEMS).write_text(json.dumps({**items, "seal": _seal(items)}))
    stored = read_pixels(folder)
    if stored is None:
        raise TaskError(f"{folder}: damaged while it was written; remove this folder and look at the disk")
    mark_verified(folder / _PIXELS)
    return stored


def _seal(items: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(items, sort_keys=True).encode(), digest_size=16).hexdigest()


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """The .npy header, of equal length for any number of items (NumPy leaves room for the first axis to grow)."""
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
