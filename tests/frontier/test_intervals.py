"""Intervals of what is recovered: limits, levels and closed forms; test_coverage tests how often they hold."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from rayforget.frontier.intervals import Interval, boxes, errors_of_seeds, interval_of_frontier, interval_of_mean


def interval(resampled: NDArray[np.float64], *, chosen: list[int], theta_0: int, plain: list[int]) -> Interval:
    tuned = resampled[:, plain].mean(axis=1)
    return interval_of_frontier(resampled[:, chosen], boxes(resampled[:, theta_0], tuned))


def normal_resamples(means: list[tuple[float, float]], error: float) -> NDArray[np.float64]:
    rng = np.random.default_rng(11)
    return np.array(means) + rng.normal(scale=error, size=(2000, 1, 2)) * np.linspace(0, 1, len(means))[:, None]


def test_interval_holds_the_estimate_and_shrinks_with_the_noise() -> None:
    means = [(0.6, 0.5), (0.8, 0.4), (0.8, 0.5)]  # theta_0, plain, a point that recovers 1
    wide = interval(normal_resamples(means, 0.01), chosen=[2], theta_0=0, plain=[1])
    narrow = interval(normal_resamples(means, 0.001), chosen=[2], theta_0=0, plain=[1])
    none = interval(normal_resamples(means, 0.0), chosen=[2], theta_0=0, plain=[1])
    assert wide.low is not None
    assert wide.high is not None
    assert narrow.low is not None
    assert narrow.high is not None
    assert wide.low < narrow.low < 1 < narrow.high < wide.high
    assert (none.low, none.high) == (pytest.approx(1.0), pytest.approx(1.0))


def test_plain_is_the_mean_of_its_seeds() -> None:
    means = [(0.6, 0.5), (0.7, 0.45), (0.9, 0.35), (0.8, 0.5)]
    found = interval(normal_resamples(means, 0.0), chosen=[3], theta_0=0, plain=[1, 2])
    assert found.low == pytest.approx(1.0)


def test_interval_is_undefined_when_the_box_is_often_empty() -> None:
    means = [(0.6, 0.5), (0.61, 0.4), (0.8, 0.5)]
    found = interval(normal_resamples(means, 0.05), chosen=[2], theta_0=0, plain=[1])
    assert found.empty_share > 0.05
    assert (found.low, found.high) == (None, None)
    assert found.reason is not None
    assert "of the resamples" in found.reason


def test_no_chosen_points_recover_nothing_in_every_resample() -> None:
    found = interval(normal_resamples([(0.6, 0.5), (0.8, 0.4)], 0.01), chosen=[], theta_0=0, plain=[1])
    assert (found.low, found.high) == (0.0, 0.0)


SURE = boxes(np.tile([0.0, 1.0], (2, 1)), np.tile([1.0, 0.0], (2, 1)))
"""Infinitely many items."""
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 12: 2.201}
"""97.5 % quantiles with n - 1 degrees of freedom."""


@pytest.mark.parametrize("num", STUDENT)
def test_of_endless_items_the_mean_over_trainings_has_students_interval(num: int) -> None:
    shares = 100 + np.random.default_rng(num).normal(size=num)
    found = interval_of_mean(shares, np.tile(shares, (2, 1)), SURE)
    assert found is not None
    reach = STUDENT[num] * shares.std(ddof=1) / math.sqrt(num)
    tolerance = {2: 0.5}.get(num, 0.05)  # the last of 200 quantiles of a Cauchy distribution is far out
    assert found.low == pytest.approx(shares.mean() - reach, abs=tolerance * reach)
    assert found.high == pytest.approx(shares.mean() + reach, abs=tolerance * reach)


def test_one_training_says_nothing_of_another_and_equal_ones_leave_no_doubt() -> None:
    assert interval_of_mean(np.ones(1), np.ones((2, 1)), SURE) is None
    equal = interval_of_mean(np.ones(4), np.ones((2, 4)), SURE)
    assert equal is not None
    assert (equal.low, equal.high) == (1.0, 1.0)


def test_nothing_is_recovered_less_than_not_at_all() -> None:
    shares = np.array([0.0, 0.1, 0.9])
    found = interval_of_mean(shares, np.tile(shares, (2, 1)), SURE)
    assert found is not None
    assert found.low == 0.0


def test_a_mean_is_as_undefined_as_its_boxes() -> None:
    empty = boxes(np.tile([0.0, 1.0], (2, 1)), np.array([[1.0, 0.0], [-1.0, 0.0]]))
    found = interval_of_mean(np.ones(3), np.ones((1, 3)), empty)
    assert found is not None
    assert (found.low, found.empty_share) == (None, 0.5)


@pytest.mark.parametrize("num_items", [300, 20])
def test_what_items_do_by_chance_is_not_counted_as_a_difference_between_trainings(num_items: int) -> None:
    """Equal trainings, each with its own luck: the interval is the items' alone, for the mean over all their items."""
    rng = np.random.default_rng(num_items)
    reaches = []
    for _ in range(40):
        items = (rng.random((6, num_items)) < 0.5).astype(float)
        draws = rng.integers(num_items, size=(400, num_items))
        found = interval_of_mean(items.mean(axis=1) + 100, items[:, draws].mean(axis=2).T + 100, boxes(*_sure(400)))
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        reaches.append((found.high - found.low) / 2)
    alone = 1.96 * 0.5 / math.sqrt(6 * num_items)
    assert alone < np.mean(reaches) < 1.6 * alone  # counted three times it would be 2.1


def _sure(num: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.tile([0.0, 1.0], (num, 1)), np.tile([1.0, 0.0], (num, 1))


@pytest.mark.parametrize("num", [2, 3, 5])
def test_the_seeds_mean_has_students_error_in_every_direction(num: int) -> None:
    seeds = np.random.default_rng(num).normal(size=(num, 2))
    moved = errors_of_seeds(seeds, np.tile(seeds, (40_000, 1, 1)), np.random.default_rng(0))
    for direction in (np.array([1.0, 0.0]), np.array([0.6, -0.8])):
        quantile = np.quantile(moved @ direction, 0.75) / ((seeds @ direction).std(ddof=1) / math.sqrt(num))
        assert quantile == pytest.approx({2: 1.0, 3: 0.8165, 5: 0.7407}[num], rel=0.05)  # of Student's t


def test_of_one_seed_nothing_is_known_but_its_items() -> None:
    assert not errors_of_seeds(np.ones((1, 2)), np.ones((5, 1, 2)), np.random.default_rng(0)).any()
