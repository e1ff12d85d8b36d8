import itertools
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from rayforget.errors import RecordError
from rayforget.frontier.hypervolume import hypervolume, hypervolumes
from rayforget.frontier.nondominated import nondominated


def union_of_rectangles(values: NDArray[np.float64], reference: tuple[float, float]) -> Fraction:
    """Exact area: the plane is cut along every coordinate, and each cell is inside some rectangle or not."""
    points = [(Fraction(float(s)), Fraction(float(g))) for s, g in values]
    left, bottom = Fraction(reference[0]), Fraction(reference[1])
    xs = sorted({left, *(s for s, _ in points if s > left)})
    ys = sorted({bottom, *(g for _, g in points if g > bottom)})
    area = Fraction(0)
    for x0, x1 in itertools.pairwise(xs):
        for y0, y1 in itertools.pairwise(ys):
            if any(s >= x1 and g >= y1 for s, g in points):
                area += (x1 - x0) * (y1 - y0)
    return area


@pytest.mark.parametrize("num_points", [0, 1, 2, 3, 7, 20])
def test_equals_the_exact_union_of_rectangles(num_points: int) -> None:
    for seed in range(10):
        rng = np.random.default_rng([seed, num_points])
        values, reference = rng.random((num_points, 2)), (float(rng.random() / 2), float(rng.random() / 2))
        expected = float(union_of_rectangles(values, reference))
        assert hypervolume(values, reference) == pytest.approx(expected, rel=1e-13, abs=1e-15)


@pytest.mark.parametrize("num_points", [1, 3, 15])
def test_does_not_depend_on_order_or_duplicates(num_points: int) -> None:
    rng = np.random.default_rng(num_points)
    values = rng.random((num_points, 2))
    expected = hypervolume(values, (0.2, 0.3))
    for _ in range(5):
        repeated = np.concatenate((values, values[rng.integers(num_points, size=4)]))
        assert hypervolume(rng.permutation(repeated), (0.2, 0.3)) == pytest.approx(expected, rel=1e-14)


def test_dominated_points_add_nothing() -> None:
    values = np.random.default_rng(1).random((31, 2))
    front = values[nondominated(values)]
    assert len(front) < len(values)
    assert hypervolume(values, (0.1, 0.1)) == pytest.approx(hypervolume(front, (0.1, 0.1)), rel=1e-14)


@pytest.mark.parametrize("point", [(0.5, 0.9), (0.9, 0.5), (0.4, 0.9), (0.9, 0.4), (0.1, 0.1), (0.5, 0.5)])
def test_points_not_above_the_reference_add_nothing(point: tuple[float, float]) -> None:
    assert hypervolume(np.array([point]), (0.5, 0.5)) == 0.0
    assert hypervolume(np.array([point, (0.7, 0.8)]), (0.5, 0.5)) == pytest.approx(0.2 * 0.3)


def test_no_points_have_no_area() -> None:
    assert hypervolume(np.empty((0, 2)), (0.5, 0.5)) == 0.0


@pytest.mark.parametrize("num_points", [0, 1, 5])
def test_many_sets_at_once_agree_with_one_at_a_time(num_points: int) -> None:
    rng = np.random.default_rng(2)
    values, references = rng.random((9, num_points, 2)), rng.random((9, 2)) / 2
    expected = [hypervolume(one, (float(r[0]), float(r[1]))) for one, r in zip(values, references, strict=True)]
    assert hypervolumes(values, references).tolist() == expected


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(RecordError, match="finite"):
        hypervolume(np.array([[0.1, bad]]), (0.0, 0.0))
    with pytest.raises(RecordError, match="finite"):
        hypervolume(np.array([[0.1, 0.1]]), (bad, 0.0))
