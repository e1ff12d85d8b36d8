"""Steps, learning rates and items are pure functions with closed forms."""

from itertools import pairwise

import numpy as np
import pytest

from rayforget.train.schedule import (
    checkpoint_steps,
    learning_rate_factor,
    learning_rate_sum,
    num_steps,
    step_indices,
)


@pytest.mark.parametrize(("num_items", "epochs", "batch_size"), [(1, 1, 1), (37, 3, 8), (64, 2, 64), (5, 1, 8)])
def test_every_item_is_seen_once_an_epoch(num_items: int, epochs: int, batch_size: int) -> None:
    steps = num_steps(num_items=num_items, epochs=epochs, batch_size=batch_size)
    drawn = [step_indices(s, num_items=num_items, batch_size=batch_size, seed=3) for s in range(steps)]
    seen = np.concatenate(drawn)
    assert len(seen) == steps * batch_size
    for epoch in range(len(seen) // num_items):
        assert sorted(seen[epoch * num_items : (epoch + 1) * num_items]) == list(range(num_items))


def test_epochs_differ_and_seeds_differ() -> None:
    first, second, other = (
        step_indices(step, num_items=100, batch_size=100, seed=seed) for step, seed in [(0, 0), (1, 0), (0, 1)]
    )
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_warm_up_rises_to_the_peak_and_the_cosine_falls_to_zero() -> None:
    factors = [learning_rate_factor(step, total_steps=100, warmup_fraction=0.1) for step in range(101)]
    assert 0 < factors[0] < factors[9] < factors[10] == 1.0
    assert all(a > b for a, b in pairwise(factors[10:]))
    assert factors[55] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0.0)


def test_sum_of_a_cosine_is_half_its_steps() -> None:
    total = learning_rate_sum(learning_rate=1e-3, total_steps=1000, warmup_fraction=0.0)
    assert total == pytest.approx(1e-3 * 1000 / 2, rel=2e-3)


@pytest.mark.parametrize("total", [1, 7, 100])
def test_the_last_checkpoint_is_the_end(total: int) -> None:
    steps = checkpoint_steps((0.25, 0.5, 1.0), total)
    assert steps[total] == 1.0
    assert all(1 <= step <= total for step in steps)
