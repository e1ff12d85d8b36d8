"""Per-item results of several models -> resampled scores, and standard errors that use the pairing of the items."""

import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import RecordError
from rayforget.frontier.points import TaskRole, aggregate
from rayforget.metrics.scored_items import ScoredItems
from rayforget.values.scores import Score

_CHUNK = 1 << 22
"""Resampled item counts, or sums of them, held at a time (32 MiB)."""


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


def bootstrap(
    items_of: Callable[[str], ScoredItems], roles: Sequence[TaskRole], *, num_resamples: int, seed: int
) -> NDArray[np.float64]:
    """(S, G) of every model in every resample: paired bootstrap over items (Efron & Tibshirani 1993).

    Each resample draws every task's items anew, with replacement, within the task; the draws are the same for all
    models, so differences between models keep their pairing. A task's draws depend on `seed` and its name alone.

    Args:
        items_of: a task's name -> all models' items on it; called for one task at a time, since all models' items on
            all tasks may not fit into memory.
        roles: each task's role.
        num_resamples: number of resamples.
        seed: seed of the draws.

    Returns:
        Shape (num_resamples, num_models, 2).

    Raises:
        RecordError: a task has no items, or a weight is not positive.
    """
    names = [role.name for role in roles]
    return aggregate(bootstrap_tasks(items_of, names, num_resamples=num_resamples, seed=seed), roles)


def bootstrap_tasks(
    items_of: Callable[[str], ScoredItems], names: Sequence[str], *, num_resamples: int, seed: int
) -> NDArray[np.float64]:
    """The scores that `bootstrap` aggregates, task by task: shape (num_resamples, num_models, num_tasks).

    The draws are those of `bootstrap`, so a task's scores belong to the (S, G) of the same resample.
    """
    scores = []
    for name in names:
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        scores.append(_resampled_scores(items_of(name), num_resamples, rng, name))
    return np.stack(scores, axis=-1)


def _resampled_scores(
    task: ScoredItems, num_resamples: int, rng: np.random.Generator, name: str
) -> NDArray[np.float64]:
    """Shape (num_resamples, num_models): each model's score when every item counts as often as it is drawn."""
    num_items = task.results.shape[1]
    if num_items == 0:
        raise RecordError(f"task {name} has no items; a score needs at least one")
    if task.weights is not None and not (task.weights > 0).all():
        raise RecordError(f"task {name} has an item of weight {task.weights.min()}; weights must be positive")
    return np.concatenate(
        list(task.resampled(_counts(num_items, num_resamples, rng, rows=max(1, _CHUNK // task.width))))
    )


def _counts(
    num_items: int, num_resamples: int, rng: np.random.Generator, *, rows: int
) -> Iterator[NDArray[np.float64]]:
    """How often each item is drawn, shape (rows at most, num_items): uniform draws, counted.

    This is the multinomial with equal probabilities; numpy's own draws one binomial per item, ten times slower.
    """
    for start in range(0, num_resamples, rows):
        size = min(rows, num_resamples - start)
        draws = rng.integers(num_items, size=(size, num_items))
        draws += np.arange(size)[:, None] * num_items
        yield np.bincount(draws.ravel(), minlength=size * num_items).reshape(size, num_items).astype(np.float64)


def standard_error(resampled: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard errors of S and G from `bootstrap`'s result: (num_resamples, ..., 2) -> (..., 2).

    For the error of a difference, pass the difference of two models' resamples.
    """
    error: NDArray[np.float64] = resampled.std(axis=0, ddof=1)
    return error
