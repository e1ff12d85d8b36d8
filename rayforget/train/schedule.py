"""Step -> learning rate, and step -> items: pure functions of the recipe and the seed."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def num_steps(*, num_items: int, epochs: int, batch_size: int) -> int:
    """Optimiser steps of a training: the epochs' items one after another, cut into whole batches, at least one."""
    return max(1, num_items * epochs // batch_size)


def learning_rate_factor(step: int, *, total_steps: int, warmup_fraction: float) -> float:
    """Share of the peak learning rate at step `step` (0-based): linear warm-up, then a cosine to zero.

    The first step's factor is positive and the cosine ends at zero one step after the last.
    """
    warmup_steps = round(warmup_fraction * total_steps)
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * progress))


def learning_rate_sum(*, learning_rate: float, total_steps: int, warmup_fraction: float) -> float:
    """Sum of the learning rates of all steps; 1 over it is the scale of useful proximal L2 strengths."""
    return learning_rate * sum(
        learning_rate_factor(step, total_steps=total_steps, warmup_fraction=warmup_fraction)
        for step in range(total_steps)
    )


def checkpoint_steps(fractions: tuple[float, ...], total_steps: int) -> dict[int, float]:
    """Step after which a checkpoint is taken -> its fraction; of fractions with equal steps the largest is kept."""
    return {max(1, round(fraction * total_steps)): fraction for fraction in sorted(fractions)}


def step_indices(step: int, *, num_items: int, batch_size: int, seed: int) -> NDArray[np.int64]:
    """Items of step `step` (0-based), shape (batch_size,): a slice of the epochs' concatenated permutations.

    Every item is seen once in each epoch, no batch is ragged, and the result depends only on the arguments, so that a
    resumed training sees the same items as an undisturbed one.
    """
    positions = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs, offsets = positions // num_items, positions % num_items
    indices = np.empty(batch_size, dtype=np.int64)
    for epoch in np.unique(epochs):
        order = _epoch_order(seed, int(epoch), num_items)
        indices[epochs == epoch] = order[offsets[epochs == epoch]]
    return indices


@lru_cache(maxsize=2)
def _epoch_order(seed: int, epoch: int, num_items: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(num_items)
