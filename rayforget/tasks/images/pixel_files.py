"""Decoded images -> one folder with pixels.npy and broken.json, written under a temporary name, then renamed."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import TaskError
from rayforget.tasks.cache_folder import written_whole


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPixels:
    """The contents of one folder of the cache."""

    pixels: NDArray[np.uint8]
    """Shape (num_items, 3, H, W), memory-mapped read-only."""
    broken: Mapping[int, str]
    """Position of each broken item among those asked for -> what is wrong with it."""


def read_pixels(folder: Path) -> StoredPixels | None:
    """The folder's pixels; None if there are none or the disk kept only a part of them."""
    try:
        broken = json.loads((folder / "broken.json").read_text())
        pixels = np.load(folder / "pixels.npy", mmap_mode="r")
    except (FileNotFoundError, EOFError, ValueError):  # the last two: a file cut off in or after its header
        return None
    return StoredPixels(pixels=pixels, broken={int(position): reason for position, reason in broken.items()})


def write_pixels(
    folder: Path,
    decoded: Iterator[NDArray[np.uint8] | str],
    count: int,
    shape: tuple[int, int, int],
    *,
    check: Callable[[Mapping[int, str]], None],
) -> StoredPixels:
    """Writes the folder and reads it back; if two processes do so at once, both succeed.

    Args:
        folder: the target.
        decoded: per item, pixels of `shape` or what is wrong with it.
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
        with (complete / "pixels.npy").open("wb") as file:
            _write_header(file, (count, *shape))
            for position, pixels in enumerate(decoded):
                if isinstance(pixels, str):
                    broken[position] = pixels
                    check(broken)
                else:
                    file.write(np.ascontiguousarray(pixels).data)
            file.seek(0)
            _write_header(file, (count - len(broken), *shape))
        (complete / "broken.json").write_text(json.dumps(broken))
    stored = read_pixels(folder)
    if stored is None:
        raise TaskError(f"{folder}: damaged while it was written; remove this folder and look at the disk")
    return stored


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """The .npy header, of equal length for any number of items (NumPy leaves room for the first axis to grow)."""
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
