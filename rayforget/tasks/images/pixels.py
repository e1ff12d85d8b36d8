"""A split's items -> its decoded pixels, decoded once per node and then memory-mapped by all processes.

The cache ignores names: its key is a hash of the items' contents, their labels, the decoder and the code's version. So
a moved or renamed set is found again, and a changed image, label or decoder never is.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray

from rayforget.errors import TaskError
from rayforget.heartbeat import beating
from rayforget.tasks.cache_folder import remove_leftovers
from rayforget.tasks.images.contents import changed_hashes, content_hash, items_hash
from rayforget.tasks.images.decoding import Decoder, open_image
from rayforget.tasks.images.in_order import map_in_order
from rayforget.tasks.images.labelled import LabelledImages
from rayforget.tasks.images.node_lock import node_lock
from rayforget.tasks.images.pixel_files import (
    DecodedImage,
    StoredPixels,
    verified_pixels,
    verify_pixels,
    write_pixels,
)
from rayforget.tasks.images.sources import ImageSource

logger = logging.getLogger(__name__)

CODE_VERSION = 2
"""Increment it whenever the same items and decoder would give other pixels."""
_NUM_NAMED = 5
BROKEN = "broken"
"""The key under which a record's facts name the skipped images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelSet:
    """One decoded split, cached on this node."""

    pixels: NDArray[np.uint8]
    """Shape (num_items, 3, H, W), memory-mapped read-only."""
    labels: NDArray[np.int64]
    """Shape (num_items,), indices into the task's classes."""
    items_hash: str
    """Hash of the items' contents and labels, in order, without broken items.

    An image that was turned, or became RGB from a mode that resizes otherwise, counts as other contents.
    """
    broken: tuple[str, ...]
    """Names of the skipped items."""


def pixel_set(
    source: ImageSource,
    indices: Sequence[int] | NDArray[np.int64],
    decoder: Decoder,
    cache: Path,
    *,
    max_broken: int,
    what: str,
) -> PixelSet:
    """The items at these indices, from the cache or decoded now while the node's other processes wait.

    Args:
        source: the items.
        indices: the items to return, in this order.
        decoder: image -> uint8 (3, H, W).
        cache: a folder on this node.
        max_broken: how many unreadable images may be skipped.
        what: the split's name in messages, e.g. `tasks.photo.val`.

    Raises:
        TaskError: more broken images than allowed, none left, no room on the disk, or an item that changed meanwhile.
    """
    images = source if isinstance(source, LabelledImages) else LabelledImages(source)
    wanted = np.asarray(indices, dtype=np.int64)
    if not len(wanted):
        raise TaskError(f"{what}: no items; expected at least one")
    hashes, labels = images.content_hashes(wanted), images.labels[wanted]
    folder = cache / cache_key(hashes, labels, decoder, images.prepare_key)

    def decode(position: int) -> DecodedImage | str:
        return _decode(images, int(wanted[position]), hashes[position].tobytes(), decoder)

    def check(broken: Mapping[int, str]) -> None:
        if len(broken) > max_broken or len(broken) == len(wanted):
            first = [f"{images.name(int(wanted[at]))} ({why})" for at, why in list(broken.items())[:_NUM_NAMED]]
            raise TaskError(
                f"{what}: {len(broken)} or more broken images of {len(wanted)}, allowed {max_broken} (and one whole): "
                f"{', '.join(first)}; repair or remove them, or raise max_broken"
            )

    stored = verified_pixels(folder)
    if stored is None:
        with node_lock(cache / "locks" / folder.name, f"decoding {what}") as held:
            stored = verified_pixels(folder) or _sound(folder, what)
            if stored is None:
                if held:
                    remove_leftovers(folder)
                logger.info("%s: decoding %d images, once for this node", what, len(wanted))
                with closing(map_in_order(decode, range(len(wanted)))) as decoded:
                    heard = beating(decoded, f"decode {what}", len(wanted))
                    stored = write_pixels(folder, heard, len(wanted), decoder.shape, check=check)
    check(stored.broken)
    kept = np.delete(np.arange(len(wanted)), list(stored.broken))
    broken = tuple(images.name(int(wanted[at])) for at in stored.broken)
    if broken:
        logger.warning("%s: %d broken images skipped: %s", what, len(broken), ", ".join(broken))
    decoded_from = changed_hashes(hashes, stored.changed)[kept]
    return PixelSet(
        pixels=stored.pixels, labels=labels[kept], items_hash=items_hash(decoded_from, labels[kept]), broken=broken
    )


def broken_facts(broken: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The record's facts on skipped images: `{"broken": {task: names}}`, or nothing if there are none."""
    found = {task: list(names) for task, names in broken.items() if names}
    return {BROKEN: found} if found else {}


def cache_key(hashes: NDArray[np.uint8], labels: NDArray[np.int64], decoder: Decoder, prepare_key: str) -> str:
    """32 hex digits over the labels and everything that decides the pixels."""
    code = f"pixels {CODE_VERSION}, Pillow {PIL.__version__}"
    parts = (code, decoder.key, list(decoder.shape), prepare_key, items_hash(hashes, labels))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _sound(folder: Path, what: str) -> StoredPixels | None:
    """The folder's pixels, verified; a damaged folder is removed with a warning."""
    stored = verify_pixels(folder, what)
    if not isinstance(stored, str):
        return stored
    logger.warning("%s; %s is decoded again: look at the disk", stored, what)
    shutil.rmtree(folder, ignore_errors=True)
    return None


def _decode(images: LabelledImages, index: int, expected: bytes, decoder: Decoder) -> DecodedImage | str:
    """The item's pixels, or why it is broken."""
    data = images.read(index)
    if content_hash(data) != expected:
        images.forget_hashes()
        raise TaskError(
            f"{images.name(index)}: changed while it was read, or since its content hash was remembered, and its size "
            "and times do not show it; these hashes are forgotten now: leave the data alone and start again"
        )
    image = open_image(data, images.reading)
    if isinstance(image, str):
        return image
    pixels = decoder(images.prepare(image.rgb))
    if pixels.shape != tuple(decoder.shape) or pixels.dtype != np.uint8:
        raise TaskError(f"decoder gave {pixels.shape} of {pixels.dtype}, expected {tuple(decoder.shape)} of uint8")
    return DecodedImage(pixels=pixels, changed=image.changed)
