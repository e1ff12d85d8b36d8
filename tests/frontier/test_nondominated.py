import numpy as np
import pytest
from numpy.typing import NDArray

from rayforget.errors import RecordError
from rayforget.frontier.nondominated import nondominated


def by_definition(values: NDArray[np.float64]) -> list[bool]:
    """Compares every pair; of exact duplicates keeps the first."""
    kept = []
    for i, a in enumerate(values):
        dominated = any((b >= a).all() and (b > a).any() for b in values)
        repeated = any((b == a).all() for b in values[:i])
        kept.append(not dominated and not repeated)
    return kept


@pytest.mark.parametrize("num_points", [0, 1, 2, 3, 17, 64])
@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_agrees_with_comparing_every_pair(num_points: int, levels: int) -> None:
    for seed in range(10):
        values = np.random.default_rng([seed, num_points]).integers(levels, size=(num_points, 2)) / levels
        assert nondominated(values).tolist() == by_definition(values)


def test_the_first_of_duplicates_stays_wherever_it_stands() -> None:
    values = np.array([[0.1, 0.1], [0.5, 0.5], [0.2, 0.9], [0.5, 0.5]])
    assert nondominated(values).tolist() == [False, True, True, False]
    assert nondominated(values[::-1]).tolist() == [True, True, False, False]


def test_equal_in_one_coordinate_and_worse_in_the_other_is_dominated() -> None:
    values = np.array([[0.5, 0.4], [0.5, 0.5], [0.4, 0.5]])
    assert nondominated(values).tolist() == [False, True, False]


def test_negative_zero_is_zero() -> None:
    assert nondominated(np.array([[0.0, -0.0], [-0.0, 0.0]])).tolist() == [True, False]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(RecordError, match="point 1 is"):
        nondominated(np.array([[0.1, 0.2], [bad, 0.3], [0.4, 0.1]]))


def test_three_columns_are_refused() -> None:
    with pytest.raises(RecordError, match=r"\(2, 3\)"):
        nondominated(np.zeros((2, 3)))
