import numpy as np
import pytest

from rayforget.errors import RecordError, SpaceError
from rayforget.frontier.pick import pick

THETA_0 = (0.5, 0.58)


def test_takes_the_best_speciality_within_the_budget() -> None:
    values = np.array([[0.5, 0.58], [0.6, 0.575], [0.7, 0.56], [0.8, 0.5]])
    assert pick(values, theta_0=THETA_0, max_loss=0.01) == 1
    assert pick(values, theta_0=THETA_0, max_loss=0.02) == 2
    assert pick(values, theta_0=THETA_0, max_loss=0.0) == 0
    assert pick(values, theta_0=THETA_0, max_loss=None) == 3


def test_the_budget_itself_is_within_the_budget() -> None:
    assert 0.58 - 0.01 > 0.57 - 1e-16  # rounding must not decide
    values = np.array([[0.9, 0.06], [0.5, 0.07]])
    assert values[0, 1] < 0.07 - 0.01  # rounding, which must not decide
    assert pick(values, theta_0=(0.5, 0.07), max_loss=0.01) == 0


def test_agrees_with_looking_at_every_point() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values, budget = rng.integers(10, size=(13, 2)) / 10, float(rng.integers(4)) / 10
        allowed = [i for i in range(13) if 0.58 - values[i, 1] <= budget + 1e-9]
        expected = max(allowed, key=lambda i: (values[i, 0], values[i, 1], -i), default=None)
        assert pick(values, theta_0=THETA_0, max_loss=budget) == expected


def test_ties_go_to_generality_then_to_the_first() -> None:
    values = np.array([[0.6, 0.58], [0.6, 0.59], [0.6, 0.59]])
    assert pick(values, theta_0=THETA_0, max_loss=0.01) == 1


def test_none_where_nothing_qualifies() -> None:
    assert pick(np.array([[0.9, 0.1]]), theta_0=THETA_0, max_loss=0.01) is None
    assert pick(np.empty((0, 2)), theta_0=THETA_0, max_loss=None) is None


def test_a_negative_budget_asks_for_a_gain() -> None:
    assert pick(np.array([[0.9, 0.58], [0.6, 0.6]]), theta_0=THETA_0, max_loss=-0.01) == 1


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(SpaceError, match="max_loss"):
        pick(np.array([[0.9, 0.1]]), theta_0=THETA_0, max_loss=np.nan)
    with pytest.raises(RecordError, match="finite"):
        pick(np.array([[0.9, np.nan]]), theta_0=THETA_0, max_loss=0.1)
