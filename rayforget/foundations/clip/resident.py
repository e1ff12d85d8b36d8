"""Decoded sets -> their pixels on the device, as long as all together fit a share of its memory.

A set that lies there costs a step 8 bytes an image in place of 150,528 (224 x 224), and no thread reads it again. What
does not fit is read ahead and copied beside the work, batch by batch (`train/ahead.py`, `evaluate/pixels_ahead.py`).
"""

from collections.abc import Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor

from rayforget.tasks.images.pixels import PixelSet

SHARE = 0.25
"""Share of a GPU's memory that pixels may take; models, moments and activations have the rest."""
_AT_ONCE = 2**28
"""Bytes copied at a time."""


class Resident:
    """The sets of one process; a set that has found room keeps it."""

    def __init__(self, device: torch.device, room: float) -> None:
        """Holds nothing yet.

        Args:
            device: where the pixels are to lie.
            room: bytes for all sets together; 0 leaves every set where it is.
        """
        self._device, self._room = device, room
        self._held: dict[int, tuple[PixelSet, Tensor | None]] = {}

    @classmethod
    def on(cls, device: torch.device, *, share: float = 1.0) -> "Resident":
        """With room for `SHARE` of a GPU's memory, none on a CPU, which reads the memory maps themselves.

        Args:
            device: where the pixels are to lie.
            share: this process's share of the device.
        """
        if device.type != "cuda":
            return cls(device, 0)
        return cls(device, SHARE * share * torch.cuda.get_device_properties(device).total_memory)

    def of(self, pixels: PixelSet) -> UInt8[Tensor, "n 3 h w"] | None:
        """All pixels of a set on the device; None if there is no room left for them."""
        known = self._held.get(id(pixels))
        if known is None:
            known = self._held[id(pixels)] = pixels, self._moved(pixels)  # the set is held, so that its id is its own
        return known[1]

    def of_all(self, sets: Sequence[PixelSet]) -> list[Tensor] | None:
        """`of` each; None if one of them has no room."""
        found = [self.of(each) for each in sets]
        return [each for each in found if each is not None] if all(each is not None for each in found) else None

    def _moved(self, pixels: PixelSet) -> Tensor | None:
        nbytes = pixels.pixels.nbytes
        if nbytes > self._room:
            return None
        self._room -= nbytes
        there = torch.empty(pixels.pixels.shape, dtype=torch.uint8, device=self._device)
        rows = max(1, _AT_ONCE // max(1, nbytes // max(1, len(pixels.pixels))))
        for first in range(0, len(there), rows):
            part = pixels.pixels[first : first + rows]
            there[first : first + rows] = torch.tensor(part)
        return there
