"""Items of all general parts -> the pretraining's batches of token ids, with a weight for each token's loss."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rayforget.builtin.language.prompts import prompt_and_answer
from rayforget.builtin.language.relations import Item
from rayforget.builtin.language.tokenizer import END, PAD
from rayforget.builtin.language.world import language_items

MIX: Final[dict[str, float]] = {
    "commonsense": 0.24,
    "commonsense_text": 0.04,
    "reasoning": 0.22,
    "tales": 0.08,
    "rewriting": 0.16,
    "picking": 0.12,
    "answering": 0.14,
}
"""Share of the sequences from each part."""
NUM_ITEMS: Final[dict[str, int]] = {part: 20_000 for part in MIX} | {"answering": 10_000, "commonsense_text": 400}
"""Number of different items drawn from each part."""
PROMPT_WEIGHT = 0.1
"""Weight of a prompt's token in the loss; an answer's has 1."""
LONG_SHARE, LONG_LENGTH = 0.1, 250
"""Share of batches whose sequences concatenate many items, so that late positions are learnt too, and their length."""
_BATCHES_PER_CHUNK = 64
"""Number of batches that are drawn together and sorted by length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Sequences of one batch, padded on the right."""

    ids: NDArray[np.int64]
    """Shape (num_sequences, length)."""
    weights: NDArray[np.float32]
    """Same shape: a token's weight as a target; 0 for padding and the first one."""


Weighted = tuple[list[int], list[float]]
"""Token ids of a sequence, and the weight of each as a target."""


def pretraining_items(seed: int) -> dict[str, list[Item]]:
    """All items that the pretraining draws from, by part."""
    return {part: language_items(part, split="pretraining", count=NUM_ITEMS[part], seed=seed) for part in MIX}


def encode(tokenizer: Any, items: Sequence[Item]) -> list[Weighted]:
    """Ids of prompt, answer and end, and their weights; a text starts with the end token, which predicts its first."""
    pairs = [prompt_and_answer(item) for item in items]
    prompts, answers = (
        tokenizer([pair[side] for pair in pairs], add_special_tokens=False)["input_ids"] for side in (0, 1)
    )
    sequences = []
    for before, answer in zip(prompts, answers, strict=True):
        before, after = before or [END], [*answer, END]
        weights = [0.0] + [PROMPT_WEIGHT] * (len(before) - 1) + [1.0] * len(after)
        sequences.append((before + after, weights))
    return sequences


def padded(sequences: list[Weighted]) -> Batch:
    """Sequences of any lengths as one batch."""
    length = max(len(ids) for ids, _ in sequences)
    ids = np.full((len(sequences), length), PAD, dtype=np.int64)
    weights = np.zeros((len(sequences), length), dtype=np.float32)
    for row, (its_ids, its_weights) in enumerate(sequences):
        ids[row, : len(its_ids)] = its_ids
        weights[row, : len(its_ids)] = its_weights
    return Batch(ids=ids, weights=weights)


def batches(items: dict[str, list[Item]], tokenizer: Any, num_tokens: int, seed: int) -> Iterator[Batch]:
    """Endless batches of about `num_tokens` tokens, each with sequences of about the same length."""
    encoded = {part: encode(tokenizer, its) for part, its in items.items()}
    rng = Random(seed)

    def draw() -> Weighted:
        part = rng.choices(list(MIX), list(MIX.values()))[0]
        return encoded[part][rng.randrange(len(encoded[part]))]

    while True:
        num_long = round(_BATCHES_PER_CHUNK * LONG_SHARE)
        chunk = [padded([_long(draw) for _ in range(num_tokens // LONG_LENGTH)]) for _ in range(num_long)]
        drawn, size = list[Weighted](), 0
        while size < num_tokens * (_BATCHES_PER_CHUNK - num_long):
            drawn.append(draw())
            size += len(drawn[-1][0])
        drawn.sort(key=lambda sequence: len(sequence[0]))
        chunk += [padded(group) for group in _grouped(drawn, num_tokens)]
        rng.shuffle(chunk)
        yield from chunk


def _long(draw: Callable[[], Weighted]) -> Weighted:
    ids, weights = list[int](), list[float]()
    while True:
        its_ids, its_weights = draw()
        if len(ids) + len(its_ids) > LONG_LENGTH:
            return ids, weights
        ids, weights = ids + its_ids, weights + its_weights


def _grouped(sequences: list[Weighted], num_tokens: int) -> Iterator[list[Weighted]]:
    """Groups neighbours whose padded size stays within `num_tokens`."""
    group: list[Weighted] = []
    for sequence in sequences:
        if group and (len(group) + 1) * len(sequence[0]) > num_tokens:
            yield group
            group = []
        group.append(sequence)
    yield group
