"""Training sequences -> one row of tokens with the boundaries between them, of a length that comes again.

A kernel that is told boundaries needs no mask, so the row is as long as all sequences together instead of several rows
of the longest. What is made for a length (plans of kernels, blocks of the allocator, compiled graphs) is made once if
lengths repeat: the row is filled up to the next eighth of an octave, at most 1/8 and on average 1/20 more.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from rayforget.foundations.causal_lm.rows import Rows

_LEAST = 64
"""Shortest row, in tokens; all longer ones are then multiples of 8."""


def eighth_up(count: int) -> int:
    """The smallest of the numbers 2^k (8 + j) / 8, 0 <= j < 8, that is at least `count`; up to 8 the count itself."""
    step = 1 << max(0, (count - 1).bit_length() - 4) if count > 1 else 1
    return -(-count // step) * step


def flat_row(
    sequences: Sequence[NDArray[np.int32]], first_targets: Sequence[int], *, longest: int, filler: int
) -> Rows:
    """One row that holds the sequences in their order.

    What fills it up are sequences too, since a kernel leaves undefined what lies outside of all boundaries. The number
    of boundaries repeats as the length does: those that are left over enclose nothing.

    Args:
        sequences: token ids of each; at least one sequence.
        first_targets: index of each sequence's first target, at least 1; each target is predicted from the token before
            it.
        longest: tokens of the longest sequence that may ever come; the fillings are no longer.
        filler: token id of the fillings.
    """
    lengths = [len(sequence) for sequence in sequences]
    taken = sum(lengths)
    length = eighth_up(max(taken, _LEAST))
    fillings = [min(longest, length - start) for start in range(taken, length, longest)]
    ends = np.cumsum([*lengths, *fillings])
    boundaries = np.full(eighth_up(len(sequences) + _most_fillings(longest, length)) + 1, length, dtype=np.int32)
    boundaries[0], boundaries[1 : len(ends) + 1] = 0, ends
    tokens = np.full(length, filler, dtype=np.int64)
    tokens[:taken] = np.concatenate(sequences)
    positions = np.concatenate([np.arange(each) for each in (*lengths, *fillings)])
    starts = ends[: len(lengths)] - lengths
    targets = np.concatenate(
        [
            np.arange(start + first, start + length)
            for start, first, length in zip(starts.tolist(), first_targets, lengths, strict=True)
        ]
    )
    return Rows(
        tokens=torch.from_numpy(tokens[None]),
        positions=torch.from_numpy(positions[None]),
        mask=None,
        boundaries=torch.from_numpy(boundaries),
        sources=torch.from_numpy(targets - 1),
        targets=torch.from_numpy(tokens[targets]),
    )


def _most_fillings(longest: int, length: int) -> int:
    """Fillings that a row of this length can need."""
    shortest = 0 if length <= _LEAST else length - length // 8
    return -(-(length - shortest) // longest)
