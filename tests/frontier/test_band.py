"""The band of a frontier: its staircase by hand, and its edges against a count over all resamples."""

import numpy as np
import pytest

from rayforget.frontier.band import attained, band_of


def test_a_staircase_is_the_most_generality_of_the_points_that_reach_a_level() -> None:
    values = np.array([[0.2, 0.9], [0.5, 0.7], [0.4, 0.3], [0.8, 0.1]])
    levels = np.array([0.1, 0.2, 0.21, 0.5, 0.51, 0.8, 0.81])
    assert attained(values, levels).tolist() == [0.9, 0.9, 0.7, 0.7, 0.1, 0.1, -np.inf]


def test_chance_that_all_models_share_does_not_widen_the_band() -> None:
    """Every resample moves all models by the same: the band is the staircase itself."""
    rng = np.random.default_rng(0)
    shift = rng.normal(scale=0.05, size=(200, 1, 2))
    points, base = np.array([[0.4, 0.7], [0.6, 0.5]]), np.array([0.3, 0.8])
    band = band_of(points + shift, (base + shift)[:, 0], (0.3, 0.8))
    assert band.speciality[0] == 0.3
    assert band.speciality[-1] == pytest.approx(0.6)
    inner = [i for i, s in enumerate(band.speciality) if min(abs(s - 0.4), abs(s - 0.6)) > 1e-9]
    stairs = [0.7 if band.speciality[i] < 0.4 else 0.5 for i in inner]
    assert [band.low[i] for i in inner] == pytest.approx(stairs)
    assert [band.high[i] for i in inner] == pytest.approx(stairs)


def test_edges_are_the_levels_that_all_but_two_and_a_half_percent_of_the_resamples_lie_above_and_below() -> None:
    rng = np.random.default_rng(1)
    base = np.tile([0.3, 0.8], (401, 1))
    points = np.array([[0.4, 0.75], [0.55, 0.6], [0.7, 0.3]]) + rng.normal(scale=0.04, size=(401, 3, 2))
    band = band_of(points, base, (0.3, 0.8))
    for level, low, high in list(zip(band.speciality, band.low, band.high, strict=True))[::7]:
        stairs = sorted(max([g for s, g in some if s >= level], default=-np.inf) for some in points.tolist())
        assert low == pytest.approx(stairs[10])  # the 11th of 401: the first with 2.5 % at or below it
        assert high == pytest.approx(stairs[390])
    assert band.low[-1] == -np.inf, "most resamples reach no such speciality"
