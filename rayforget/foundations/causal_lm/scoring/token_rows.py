"""(context, continuation) pairs -> batches of token rows that hold only once what pairs with one context share.

A group is the pairs of one context. Its row is their longest common prefix (the stem: at least the context), then the
rest of each (the branches), side by side at equal positions; `causal_mask` keeps the branches from seeing each other:

    stem                    branch 1    branch 2
    Question : ... Answer : |  the sun  |  the moon and stars        (" the" is shared and belongs to the stem)

A shared row needs a dense mask, and attention is also computed between its branches, so pairs share a row only if that
costs less than it saves: the windows of long texts, whose whole context is the beginning mark, get rows of their own.

The last token of a pair is only predicted, so it is no input: pairs whose continuations are one token each (yes, no,
maybe) leave the bare stem, which needs no mask. Pairs that share their context with no other are plain rows too, e.g.
if contexts differ and the continuation is the same.

A pair longer than the model's `max_length` + 1 is cut on the left, as lm-eval's HFLM does it (its last token is no
input), which changes its context.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from rayforget.errors import TaskError
from rayforget.heartbeat import beating
from rayforget.tasks.text.types import Pairs

FILLER = -1
"""The sequence number of padding."""

_DENSE_FROM = 2048
"""Length of a row, in tokens, from which attending to all others costs as much as all other work on a token; half of
the others under a plain mask. About 6 x a transformer's width, less for small ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowBatch:
    """Rows for one forward pass, and what is read from it; on the CPU, read-only."""

    tokens: Int[Tensor, "r l"]
    """Padded on the right."""
    positions: Int[Tensor, "r l"] | None
    """Each token's position in its own pair; None if the rows are plain: 0, 1, 2, ..."""
    sequences: Int[Tensor, "r l"] | None
    """0, and FILLER for padding; None if the rows are plain."""
    branches: Int[Tensor, "r l"] | None
    """0 on the stem, else the number of the branch; None if the rows are plain."""
    columns: Int[Tensor, "r s"]
    """Columns of the tokens of each row that predict something, ascending; padded on the right with 0."""
    sources: Int[Tensor, " t"]
    """Per target, the flat index row * s + k of the entry of `columns` that predicts it; may repeat."""
    targets: Int[Tensor, " t"]
    """Token ids of all continuations."""
    pairs: NDArray[np.int64]
    """Shape (t,): the pair of each target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One group, not padded."""

    tokens: NDArray[np.int64]
    positions: NDArray[np.int64]
    branches: NDArray[np.int64]
    sources: NDArray[np.int64]
    targets: NDArray[np.int64]
    pairs: NDArray[np.int64]

    @property
    def is_plain(self) -> bool:
        return not self.branches.any()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    number: int
    tokens: NDArray[np.int64]
    """Cut to the model's length."""
    continuation: int
    """The index in `tokens` at which it begins."""


def row_batches(
    pairs: Pairs,
    *,
    max_length: int,
    batch_tokens: int,
    filler: int,
    share_prefixes: bool = True,
    switch: int | None = None,
) -> tuple[RowBatch, ...]:
    """All pairs, longest rows first; the same pairs and settings give the same batches.

    Args:
        pairs: the pairs to lay out.
        max_length: the model's longest input, in tokens.
        batch_tokens: bounds a batch's rows times its longest row, unless it is a single row.
        filler: token id for padding; no token sees it.
        share_prefixes: False puts every pair into a row of its own, for comparison.
        switch: pairs with more input tokens share no batch with others; None: all may.

    Raises:
        TaskError: a pair has no context or no continuation, or a continuation is longer than the model's input.
    """
    kept = [_cut(pairs, number, max_length) for number in range(len(pairs.continuations))]
    sides = [[pair for pair in kept if _is_long(pair, switch) is long] for long in (False, True)]
    room = min(batch_tokens, max_length) if share_prefixes else 0
    groups = [(number, group) for number, side in enumerate(sides) for group in _groups(side, room)]
    rows = [(number, _row(group)) for number, group in beating(groups, "lay out rows", len(groups))]
    batches = []
    for side, plain in product(range(len(sides)), (True, False)):
        chosen = [row for number, row in rows if number == side and row.is_plain is plain]
        order = sorted(range(len(chosen)), key=lambda index: (-len(chosen[index].tokens), index))
        batches += [_batch(part, filler) for part in _portions([chosen[index] for index in order], batch_tokens)]
    return tuple(sorted(batches, key=lambda batch: -batch.tokens.shape[1]))


def _is_long(pair: "_Pair", switch: int | None) -> bool:
    return switch is not None and len(pair.tokens) - 1 > switch


def _cut(pairs: Pairs, number: int, max_length: int) -> _Pair:
    start, stop = int(pairs.starts[number]), int(pairs.starts[number + 1])
    context = int(pairs.continuations[number])
    length = stop - start - context
    if context < 1 or length < 1:
        raise TaskError(f"pair {number} has {context} tokens of context and {length} of continuation, both need one")
    if length > max_length:
        raise TaskError(
            f"the continuation of pair {number} has {length} tokens, the model takes {max_length}; "
            "shorten it or use a model with more positions"
        )
    excess = max(0, stop - start - (max_length + 1))
    tokens = pairs.tokens[start + excess : stop].astype(np.int64)
    return _Pair(number=number, tokens=tokens, continuation=context - excess)


def _groups(kept: Sequence[_Pair], room: int) -> list[list[_Pair]]:
    """Groups pairs of equal contexts, in the order of their first, while that is cheaper than a row for each.

    The branches of a group take at most `room` tokens, so that a shared row is at most twice as long as the model's
    input; without room every pair is a group of its own.
    """
    groups: list[list[_Pair]] = []
    current: dict[bytes, int] = {}
    taken: list[int] = []
    for pair in kept:
        context = pair.tokens[: pair.continuation].tobytes()
        branch = len(pair.tokens) - 1 - pair.continuation
        group = current.get(context)
        if group is None or room == 0 or taken[group] + branch > room or not _pays(pair, taken[group], branch):
            group = current[context] = len(groups)
            groups.append([])
            taken.append(0)
        groups[group].append(pair)
        taken[group] += branch
    return groups


def _pays(pair: _Pair, taken: int, branch: int) -> bool:
    """Whether another branch costs no more than a plain row of its own: linear work, and attention to other tokens."""
    if branch == 0:
        return True
    if pair.continuation == 1:  # the beginning mark alone
        return False
    row, own = pair.continuation + taken, len(pair.tokens) - 1
    looking = ((row + branch) ** 2 - row**2) / _DENSE_FROM
    return branch + looking <= own + own**2 / (2 * _DENSE_FROM)


def _row(group: Sequence[_Pair]) -> _Row:
    stem = _shared_prefix([pair.tokens[:-1] for pair in group])
    tokens, positions, branches = [group[0].tokens[:stem]], [np.arange(stem)], [np.zeros(stem, dtype=np.int64)]
    sources, targets, owners, column = [], [], [], stem
    for branch, pair in enumerate(group, start=1):
        rest = pair.tokens[stem:-1]
        if len(rest):
            tokens.append(rest)
            positions.append(np.arange(stem, stem + len(rest)))
            branches.append(np.full(len(rest), branch))
        # Columns in the row of each of the pair's own tokens.
        columns = np.concatenate([np.arange(stem), np.arange(column, column + len(rest))])
        sources.append(columns[pair.continuation - 1 :])
        targets.append(pair.tokens[pair.continuation :])
        owners.append(np.full(len(targets[-1]), pair.number))
        column += len(rest)
    if column - stem == max(len(pair.tokens) - 1 - stem for pair in group):
        branches = [np.zeros(column, dtype=np.int64)]  # a single branch goes on where the stem ends
    return _Row(
        tokens=np.concatenate(tokens),
        positions=np.concatenate(positions),
        branches=np.concatenate(branches),
        sources=np.concatenate(sources),
        targets=np.concatenate(targets),
        pairs=np.concatenate(owners),
    )


def _shared_prefix(sequences: Sequence[NDArray[np.int64]]) -> int:
    """Length of the longest common prefix."""
    length = min(len(sequence) for sequence in sequences)
    differs = np.zeros(length, dtype=np.bool_)
    for sequence in sequences[1:]:
        differs |= sequence[:length] != sequences[0][:length]
    return int(differs.argmax()) if differs.any() else length


def _portions(rows: Sequence[_Row], batch_tokens: int) -> Iterator[Sequence[_Row]]:
    """Consecutive rows; the first of each portion is its longest."""
    first = 0
    while first < len(rows):
        count = max(1, batch_tokens // len(rows[first].tokens))
        yield rows[first : first + count]
        first += count


def _batch(rows: Sequence[_Row], filler: int) -> RowBatch:
    shape = (len(rows), max(len(row.tokens) for row in rows))
    plain = rows[0].is_plain
    tokens = np.full(shape, filler, dtype=np.int64)
    positions, branches = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    sequences = np.full(shape, FILLER, dtype=np.int64)
    for index, row in enumerate(rows):
        length = len(row.tokens)
        tokens[index, :length], positions[index, :length] = row.tokens, row.positions
        branches[index, :length], sequences[index, :length] = row.branches, 0
    predicting = [np.unique(row.sources, return_inverse=True) for row in rows]
    most = max(len(own) for own, _ in predicting)
    columns = np.zeros((len(rows), most), dtype=np.int64)
    for index, (own, _) in enumerate(predicting):
        columns[index, : len(own)] = own
    return RowBatch(
        tokens=torch.from_numpy(tokens),
        positions=None if plain else torch.from_numpy(positions),
        sequences=None if plain else torch.from_numpy(sequences),
        branches=None if plain else torch.from_numpy(branches),
        columns=torch.from_numpy(columns),
        sources=torch.from_numpy(np.concatenate([which + i * most for i, (_, which) in enumerate(predicting)])),
        targets=torch.from_numpy(np.concatenate([row.targets for row in rows])),
        pairs=np.concatenate([row.pairs for row in rows]),
    )
