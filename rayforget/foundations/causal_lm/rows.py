"""Training sequences -> rows of tokens: one per row, or several side by side that do not see each other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from torch import Tensor

from rayforget.foundations.causal_lm.head import causal_mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """`CausalHead`'s inputs and the targets; on the CPU."""

    tokens: Int[Tensor, "r l"]
    positions: Int[Tensor, "r l"]
    mask: Bool[Tensor, "r 1 l l"] | None
    """None if every row is one sequence, padded on the right, where attention is plainly causal, or has boundaries."""
    boundaries: Int[Tensor, " n"] | None = None
    """Where the sequences of a single row start, and its length last; int32. None if the rows are no flat one."""
    sources: Int[Tensor, " t"]
    """Flat indices of the tokens that predict the targets."""
    targets: Int[Tensor, " t"]
    """Token ids, in the order of the sequences."""


def place(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Groups sequences into rows: first-fit decreasing (Johnson 1973), at most 11/9 of the fewest rows plus one.

    Args:
        lengths: lengths of the sequences, each at most `capacity`.
        capacity: tokens of a row.

    Returns:
        Rows of sequence numbers; each number occurs once.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        row = next((row for row, left in enumerate(room) if left >= lengths[number]), None)
        if row is None:
            row = len(rows)
            rows.append([])
            room.append(capacity)
        rows[row].append(number)
        room[row] -= lengths[number]
    return rows


def training_rows(
    sequences: Sequence[NDArray[np.int32]], first_targets: Sequence[int], *, packing: bool, filler: int
) -> Rows:
    """Rows as long as the longest sequence.

    Args:
        sequences: token ids of each; at least one sequence.
        first_targets: index of each sequence's first target, at least 1; each target is predicted from the token before
            it.
        packing: whether to put several sequences into a row if they fit.
        filler: token id after the last sequence of a row.
    """
    lengths = [len(sequence) for sequence in sequences]
    longest = max(lengths)
    rows = place(lengths, longest) if packing else [[number] for number in range(len(sequences))]
    tokens = np.full((len(rows), longest), filler, dtype=np.int64)
    positions = np.zeros((len(rows), longest), dtype=np.int64)
    owners = np.full((len(rows), longest), -1, dtype=np.int64)
    starts = np.zeros(len(sequences), dtype=np.int64)
    for row, numbers in enumerate(rows):
        column = 0
        for number in numbers:
            end = column + lengths[number]
            tokens[row, column:end] = sequences[number]
            positions[row, column:end] = np.arange(lengths[number])
            owners[row, column:end] = number
            starts[number] = row * longest + column
            column = end
    predicted = [
        np.arange(start + first, start + length)
        for start, first, length in zip(starts.tolist(), first_targets, lengths, strict=True)
    ]
    targets = np.concatenate(predicted)
    shared = any(len(numbers) > 1 for numbers in rows)
    sequence_of = torch.from_numpy(owners)
    return Rows(
        tokens=torch.from_numpy(tokens),
        positions=torch.from_numpy(positions),
        mask=causal_mask(sequence_of, torch.zeros_like(sequence_of)) if shared else None,
        sources=torch.from_numpy(targets - 1),
        targets=torch.from_numpy(tokens.ravel()[targets]),
    )
