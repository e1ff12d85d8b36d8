"""The requests of a group's tasks -> those of one task, whose score is the group's."""

from collections.abc import Sequence
from hashlib import sha256
from itertools import accumulate, chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rayforget.tasks.text.types import Generations, ItemResults, PairResults, Pairs, TaskRequests
from rayforget.values.scores import BITS_PER_BYTE


def joined_requests(tasks: Sequence[TaskRequests], *, by_size: bool) -> TaskRequests:
    """All items, task after task.

    Args:
        tasks: the requests of each; at least one, all of one metric.
        by_size: whether every item weighs as in its own task; else each task has the same weight, divided among its
            items, as with lm-eval's `weight_by_size: false`.
    """
    judge = _Judge(tasks, by_size=by_size or tasks[0].rule == BITS_PER_BYTE)
    digest = sha256(f"{by_size}\n".encode())
    digest.update("\n".join(task.items_hash for task in tasks).encode())
    facts: dict[str, int] = {}
    for task in tasks:
        for name, count in task.facts.items():
            facts[name] = facts.get(name, 0) + count
    return TaskRequests(
        rule=tasks[0].rule,
        pairs=_pairs([task.pairs for task in tasks]),
        generations=_generations([task.generations for task in tasks]),
        num_items=sum(task.num_items for task in tasks),
        items_hash=digest.hexdigest()[:32],
        judge=judge,
        right_pairs=judge.right_pairs,
        facts=facts,
    )


class _Judge:
    """Hands each task its own answers, and puts their results one after another."""

    def __init__(self, tasks: Sequence[TaskRequests], *, by_size: bool) -> None:
        self._tasks, self._by_size = tasks, by_size
        self._pairs = list(pairwise(_starts([len(task.pairs.continuations) for task in tasks])))
        self._texts = list(pairwise(_starts([len(task.generations.prompts) for task in tasks])))

    def __call__(self, results: PairResults, texts: Sequence[str]) -> ItemResults:
        """Judges one model's answers; see `Judge`."""
        found = [
            task.judge(
                PairResults(log_likelihoods=results.log_likelihoods[a:b], greedy=results.greedy[a:b]), texts[first:last]
            )
            for task, (a, b), (first, last) in zip(self._tasks, self._pairs, self._texts, strict=True)
        ]
        items = [each for each, _ in found]
        if not all(each.dtype == np.bool_ for each in items):
            items = [each.astype(np.float32) for each in items]
        joined: Any = np.concatenate(items)
        return joined, self._weights([weights for _, weights in found], [len(each) for each in items])

    def right_pairs(self) -> list[tuple[int, int]]:
        """Per document the pairs that ask for its right answer; see `TaskRequests`."""
        ranges = [(task.right_pairs, start) for task, (start, _) in zip(self._tasks, self._pairs, strict=True)]
        return [(start + a, start + b) for pairs, start in ranges if pairs is not None for a, b in pairs()]

    def _weights(self, own: list[NDArray[np.float32] | None], sizes: list[int]) -> NDArray[np.float32] | None:
        if self._by_size and all(each is None for each in own):
            return None
        filled = [
            np.ones(size) if each is None else each.astype(np.float64) for each, size in zip(own, sizes, strict=True)
        ]
        if not self._by_size:
            share = sum(sizes) / len(sizes)
            filled = [each * (share / each.sum()) for each in filled]
        return np.concatenate(filled).astype(np.float32)


def _pairs(pairs: Sequence[Pairs]) -> Pairs:
    """Their tokens concatenated; copies them."""
    before = _starts([len(each.tokens) for each in pairs])
    starts = [each.starts[:-1] + offset for each, offset in zip(pairs, before, strict=False)]
    return Pairs(
        tokens=np.concatenate([each.tokens for each in pairs]),
        starts=np.concatenate([*starts, np.array([before[-1]], dtype=np.int64)]),
        continuations=np.concatenate([each.continuations for each in pairs]),
    )


def _generations(generations: Sequence[Generations]) -> Generations:
    return Generations(
        prompts=list(chain.from_iterable(each.prompts for each in generations)),
        until=list(chain.from_iterable(each.until for each in generations)),
        max_new_tokens=list(chain.from_iterable(each.max_new_tokens for each in generations)),
    )


def _starts(lengths: Sequence[int]) -> list[int]:
    return [0, *accumulate(lengths)]
