"""Text tasks as token ids: training sequences for a learner, requests for a scorer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rayforget.values.skipped import Skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """Tokenised sequences, concatenated."""

    tokens: NDArray[np.int32]
    """Shape (sum of lengths,); read-only."""
    starts: NDArray[np.int64]
    """Shape (num_items + 1,): sequence i is tokens[starts[i]:starts[i + 1]]."""
    first_targets: NDArray[np.int32]
    """Shape (num_items,): the index in its sequence from which tokens are learnt; at least 1."""
    facts: Mapping[str, int]
    """Counts: `cut_sequences`, `dropped_sequences`."""
    items_hash: str
    """Hash of the whole set, 32 hex digits."""
    broken: Mapping[str, Skipped] = field(default_factory=dict)
    """Task -> its rows that could not be used and were skipped, if there are any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """(context, continuation) requests: how likely is the continuation after the context?"""

    tokens: NDArray[np.int32]
    """Shape (sum of lengths,): the pairs' contexts and continuations, concatenated; read-only."""
    starts: NDArray[np.int64]
    """Shape (num_pairs + 1,): pair i is tokens[starts[i]:starts[i + 1]]."""
    continuations: NDArray[np.int32]
    """Shape (num_pairs,): the index in its pair at which the continuation begins; at least 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairResults:
    """A model's results on `Pairs`."""

    log_likelihoods: NDArray[np.float64]
    """Shape (num_pairs,): sum of log p over the continuation's tokens, in nats."""
    greedy: NDArray[np.bool_]
    """Shape (num_pairs,): whether every token of the continuation is the most likely one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generations:
    """Prompts to continue greedily."""

    prompts: Sequence[NDArray[np.int32]]
    """Token ids of each prompt."""
    until: Sequence[tuple[str, ...]]
    """Per prompt, the texts that end the answer; they are cut off."""
    max_new_tokens: Sequence[int]
    """Per prompt, the maximal length of the answer."""


def broken_rows(broken: Mapping[str, Skipped]) -> dict[str, Any]:
    """Task -> skipped rows, as a record's facts; nothing if none was skipped."""
    skipped = {name: {why: list(names) for why, names in rows.items()} for name, rows in broken.items() if rows}
    return {"broken_rows": skipped} if skipped else {}


ItemResults = tuple[NDArray[np.bool_] | NDArray[np.float32], NDArray[np.float32] | None]
"""A score's items and their weights (see `rayforget.values.scores.Score`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRequests:
    """All that a model is asked on one split of one task; made once per node."""

    rule: str
    """The score's rule: a metric's name, or `bits_per_byte`."""
    pairs: Pairs
    """Log-likelihood requests; rolling ones are cut into windows. Empty if the task generates."""
    generations: Generations
    """Generation requests; empty if the task asks for likelihoods."""
    num_items: int
    """Number of documents."""
    items_hash: str
    """Hash over the documents' contents in order, 32 hex digits."""
    judge: Callable[[PairResults, Sequence[str]], ItemResults]
    """(results of `pairs`, texts of `generations`) -> per-document results."""
    right_pairs: Callable[[], Sequence[tuple[int, int]]] | None = None
    """Per document the range (from, up to) of `pairs` that ask for its right answer; raises TaskError if it has none.
    None if unknown."""
    broken: Skipped = field(default_factory=dict)
    """The rows that could not be used and were skipped."""
    facts: Mapping[str, int] = field(default_factory=dict)
    """Counts that all models share (see `rayforget.values.scores.Score.facts`)."""
