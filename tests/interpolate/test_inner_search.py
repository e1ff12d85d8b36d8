"""The inner search of a path: draws cover every domain evenly, the second round closes in, the seed decides all."""

import numpy as np
import pytest

from rayforget.interpolate.inner_search import best_of, draw, num_first
from rayforget.interpolate.paths.path import open_path
from rayforget.space.curve_paths import SearchedPath, curve_paths
from rayforget.space.parts import Curve

LEADS = [{"low": 0.25, "high": 0.75}, 0, {"choice": [0, 1]}]


def searched(evaluations: int = 8) -> SearchedPath:
    paths = {"lerp": {}, "blocks": {"leads": LEADS, "search": {"evaluations": evaluations}}}
    return curve_paths(Curve.model_validate({"paths": paths}).paths).searched[0]


@pytest.mark.parametrize("count", [1, 2, 7, 16])
def test_each_equal_part_of_a_domain_and_of_alpha_is_drawn_once(count: int) -> None:
    drawn = draw(searched(), count, highest=1.0, seed=3)
    assert len(drawn) == count
    units = np.array(list(drawn))
    for column in units.T:
        assert sorted(int(value) for value in column * count) == list(range(count))
    for unit, spot in drawn.items():
        assert spot.alpha == pytest.approx(1 - unit[-1], abs=1e-4)
        first, second, third = open_path(spot.path).leads  # type: ignore[attr-defined]
        assert first == pytest.approx(0.25 + 0.5 * unit[0], abs=1e-4)
        assert second == 0
        assert third == (0 if unit[1] < 0.5 else 1)


def test_the_second_round_is_within_a_quarter_of_the_best_and_in_the_domain() -> None:
    for centre in ((0.1, 0.9, 0.5), (0.5, 0.2, 0.97)):
        for unit, spot in draw(searched(), 9, highest=2.0, seed=1, around=centre).items():
            for value, middle in ((unit[0], centre[0]), (unit[2], centre[2])):
                assert 0 <= value < 1
                assert abs(value - min(max(middle, 0.25), 0.75)) <= 0.25
            assert 0 < spot.alpha <= 2.0


def test_equal_seeds_draw_equal_spots_and_others_do_not() -> None:
    assert draw(searched(), 5, highest=1.0, seed=1) == draw(searched(), 5, highest=1.0, seed=1)
    assert draw(searched(), 5, highest=1.0, seed=1) != draw(searched(), 5, highest=1.0, seed=2)


def test_a_spot_that_two_draws_share_is_one() -> None:
    paths = {"lerp": {}, "lines": {"gamma": {"choice": [0.5]}, "search": {"evaluations": 4}}}
    (path,) = curve_paths(Curve.model_validate({"paths": paths}).paths).searched
    assert len(draw(path, 4, highest=1e-4, seed=0)) <= 1


def test_the_best_is_the_spot_that_adds_most_area() -> None:
    drawn = draw(searched(), 4, highest=1.0, seed=0)
    units, spots = list(drawn), list(drawn.values())
    frontier = [(0.2, 0.9), (0.5, 0.5)]
    scores = {spots[0]: (0.4, 0.4), spots[1]: (0.5, 0.8), spots[2]: (0.21, 0.91)}  # the last one has no scores
    assert best_of(drawn, scores, frontier) == units[1]
    assert best_of(drawn, {spots[0]: (0.4, 0.4)}, frontier) is None
    assert best_of(drawn, {}, frontier) is None


@pytest.mark.parametrize(("evaluations", "first"), [(1, 1), (2, 1), (5, 3), (8, 4)])
def test_the_first_round_takes_half(evaluations: int, first: int) -> None:
    assert num_first(evaluations) == first
