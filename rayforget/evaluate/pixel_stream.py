"""Several decoded sets -> one stream of batches, shared among the ranks; a batch may hold items of several sets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from rayforget.tasks.images.pixels import PixelSet


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelBatch:
    """Consecutive items from the concatenation of all sets."""

    pixels: UInt8[Tensor, "n 3 h w"]
    labels: Int[Tensor, " n"]
    first: int
    """Position of the first item among all items of all sets."""
    parts: tuple[tuple[int, slice], ...]
    """(Index of a set, the slice of its items), in order; together they make up the batch."""


def num_items(sets: Sequence[PixelSet]) -> int:
    """Number of items of all sets together."""
    return sum(len(each.labels) for each in sets)


def pixel_batches(
    sets: Sequence[PixelSet],
    batch_size: int,
    *,
    rank: int,
    world_size: int,
    pixels: Sequence[UInt8[Tensor, "n 3 h w"]] | None = None,
) -> Iterator[PixelBatch]:
    """This rank's share, read from the memory maps once and in order, on CPU.

    The ranks take consecutive shares whose sizes differ by one item at most (with every world_size-th item each rank
    would read every page). Only a rank's last batch may be short.

    Args:
        sets: the sets.
        batch_size: items of a batch.
        rank: this rank's number.
        world_size: the number of ranks.
        pixels: those of each set where they lie on a device already; a batch's are then there, and its labels are not.
    """
    starts = np.cumsum([0, *(len(each.labels) for each in sets)]).tolist()
    total = starts[-1]
    begin, end = total * rank // world_size, total * (rank + 1) // world_size
    for first in range(begin, end, batch_size):
        last = min(first + batch_size, end)
        spans = [
            (index, max(first, start), min(last, stop))
            for index, (start, stop) in enumerate(pairwise(starts))
            if max(first, start) < min(last, stop)
        ]
        chosen = [(index, slice(low - starts[index], high - starts[index])) for index, low, high in spans]
        yield PixelBatch(
            pixels=torch.from_numpy(np.concatenate([sets[index].pixels[items] for index, items in chosen]))
            if pixels is None
            else torch.cat([pixels[index][items] for index, items in chosen]),
            labels=torch.from_numpy(np.concatenate([sets[index].labels[items] for index, items in chosen])),
            first=first,
            parts=tuple((index, slice(low - first, high - first)) for index, low, high in spans),
        )
