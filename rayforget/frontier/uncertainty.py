"""Per-item results of several models -> resampled scores, and standard errors that use the pairing of the items."""

import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import RecordError
from rayforget.frontier.points import TaskRole, aggregate_each
from rayforget.metrics.scored_items import ScoredItems
from rayforget.values.scores import Score

_CHUNK = 1 << 22
"""Resampled item counts, or sums of them, held at a time (32 MiB)."""
_KEPT = 1 << 25
"""Counts that `Draws` keeps of all tasks together (64 MiB)."""


def stack_scores(scores: Sequence[Score], *, task: str) -> ScoredItems:
    """The scores of several models on one task, as one matrix.

    Raises:
        RecordError: the models were not scored on the same items, so they cannot be paired.
    """
    first = scores[0]
    for score in scores:
        if (score.rule, score.package) != (first.rule, first.package):
            raise RecordError(f"task {task}: scored by {first.rule} and by {score.rule}; score both by the same rule")
        if score.items_hash != first.items_hash or score.items.shape != first.items.shape:
            raise RecordError(
                f"task {task}: one model was scored on items {first.items_hash} ({len(first.items)}), another on "
                f"{score.items_hash} ({len(score.items)}); paired errors need the same items: score both again"
            )
    weights = None if first.weights is None else first.weights.astype(np.float64)
    results = np.stack([score.items for score in scores]).astype(np.float64)
    return ScoredItems(metric=first.metric, results=results, weights=weights, classes=first.classes)


class Draws:
    """How often each resample draws each item of a task; kept for further models on the same items."""

    def __init__(self, *, num_resamples: int, seed: int) -> None:
        """Draws nothing yet.

        Args:
            num_resamples: number of resamples.
            seed: seed of the draws; a task's depend on it and on the task's name alone.
        """
        self.num_resamples, self._seed = num_resamples, seed
        self._kept: dict[tuple[str, int], NDArray[np.uint16]] = {}
        self._room = _KEPT

    def counts(self, task: str, num_items: int, *, rows: int) -> Iterator[NDArray[np.integer]]:
        """Shape (rows at most, num_items), until all resamples are there."""
        key, size = (task, num_items), self.num_resamples * num_items
        if key not in self._kept:
            rng = np.random.default_rng([self._seed, zlib.crc32(task.encode())])
            drawn = _counts(num_items, self.num_resamples, rng, rows=rows)
            if size > self._room or num_items > np.iinfo(np.uint16).max:
                yield from drawn
                return
            self._room -= size
            self._kept[key] = np.concatenate([each.astype(np.uint16) for each in drawn])
        for start in range(0, self.num_resamples, rows):
            yield self._kept[key][start : start + rows]


def bootstrap(items_of: Callable[[str], ScoredItems], roles: Sequence[TaskRole], draws: Draws) -> NDArray[np.float64]:
    """(S, G) of every model in every resample: paired bootstrap over items (Efron & Tibshirani 1993).

    Each resample draws every task's items anew, with replacement, within the task; the draws are the same for all
    models, so differences between models keep their pairing.

    Args:
        items_of: a task's name -> all models' items on it; called for one task at a time, since all models' items on
            all tasks may not fit into memory.
        roles: each task's role.
        draws: the resamples.

    Returns:
        Shape (num_resamples, num_models, 2).

    Raises:
        RecordError: a task has no items, or a weight is not positive.
    """
    return aggregate_each((_resampled_scores(items_of(role.name), draws, role.name) for role in roles), roles)


def bootstrap_tasks(items_of: Callable[[str], ScoredItems], names: Sequence[str], draws: Draws) -> NDArray[np.float64]:
    """The scores that `bootstrap` aggregates, task by task: shape (num_resamples, num_models, num_tasks).

    The draws are those of `bootstrap`, so a task's scores belong to the (S, G) of the same resample.
    """
    return np.stack([_resampled_scores(items_of(name), draws, name) for name in names], axis=-1)


def _resampled_scores(task: ScoredItems, draws: Draws, name: str) -> NDArray[np.float64]:
    """Shape (num_resamples, num_models): each model's score when every item counts as often as it is drawn."""
    num_items = task.results.shape[1]
    if num_items == 0:
        raise RecordError(f"task {name} has no items; a score needs at least one")
    if task.weights is not None and not (task.weights > 0).all():
        raise RecordError(f"task {name} has an item of weight {task.weights.min()}; weights must be positive")
    return np.concatenate([*task.resampled(draws.counts(name, num_items, rows=max(1, _CHUNK // task.width)))])


def _counts(num_items: int, num_resamples: int, rng: np.random.Generator, *, rows: int) -> Iterator[NDArray[np.int64]]:
    """How often each item is drawn, shape (rows at most, num_items): uniform draws, counted.

    This is the multinomial with equal probabilities; numpy's own draws one binomial per item, ten times slower.
    """
    for start in range(0, num_resamples, rows):
        size = min(rows, num_resamples - start)
        draws = rng.integers(num_items, size=(size, num_items))
        draws += np.arange(size)[:, None] * num_items
        yield np.bincount(draws.ravel(), minlength=size * num_items).reshape(size, num_items)


def standard_error(resampled: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard errors of S and G from `bootstrap`'s result: (num_resamples, ..., 2) -> (..., 2).

    For the error of a difference, pass the difference of two models' resamples.
    """
    error: NDArray[np.float64] = resampled.std(axis=0, ddof=1)
    return error
