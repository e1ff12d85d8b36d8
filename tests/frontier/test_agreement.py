"""Whether what was best on `val` is best on `test`: ranks and correlation by hand."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic_sweep import ROLES, make_records

from rayforget.frontier.agreement import agreement, mean_ranks
from rayforget.frontier.compare import summarise
from rayforget.frontier.gather import gather
from rayforget.frontier.summary import Measure, Summary

RECORDS, TEST = make_records(trials=2, fractions=(1.0,), scale=0.2)
FOUND = gather(RECORDS, ROLES)
SUMMARY = summarise(FOUND.points, ROLES, val=FOUND.val, test=TEST, name="s", seed=0, num_resamples=0)


def with_scores(val: list[tuple[float, float]], test: list[tuple[float, float]]) -> Summary:
    """A summary of so many points besides theta_0, whose scores on both splits are 0."""
    zero = Measure(speciality=0.0, generality=0.0)
    places = [i for i in range(len(SUMMARY.points)) if i not in SUMMARY.theta_0.points][: len(val)]
    measures = [
        {i: Measure(speciality=s, generality=g) for i, (s, g) in zip(places, split, strict=True)}
        for split in (val, test)
    ]
    own = {SUMMARY.theta_0.points[0]: zero}
    base = replace(SUMMARY.theta_0, val=zero, test=zero)
    return replace(SUMMARY, val=measures[0] | own, test=measures[1] | own, theta_0=base)


def test_equal_values_share_the_mean_of_their_ranks() -> None:
    assert mean_ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]
    assert mean_ranks(np.array([5.0])).tolist() == [1.0]


def test_ranks_changes_correlation_and_optimism_are_those_by_hand() -> None:
    val = [(0.3, 0.1), (0.1, 0.4), (0.2, 0.2), (0.4, 0.3)]
    test = [(0.2, 0.1), (0.1, 0.3), (0.3, 0.2), (0.35, 0.4)]
    special, general = agreement(with_scores(val, test))
    assert special.ranks == (1.0, 2.0, 3.0, 4.0)
    assert special.val == (0.4, 0.3, 0.2, 0.1)
    assert special.test == (0.35, 0.2, 0.3, 0.1)
    # ranks on test 1, 3, 2, 4: 1 - 6 sum d^2 / (n (n^2 - 1)) = 1 - 6 * 2 / 60
    assert special.correlation == pytest.approx(0.8)
    assert special.optimism == pytest.approx((0.05 + 0.1 - 0.1 + 0.0) / 4)
    assert general.correlation == pytest.approx(0.8)
    assert [SUMMARY.points[i].key for i in special.points] != [SUMMARY.points[i].key for i in general.points]


def test_opposite_orders_correlate_by_minus_one_and_equal_scores_not_at_all() -> None:
    special, general = agreement(
        with_scores([(0.1, 0.2), (0.2, 0.2), (0.3, 0.2)], [(0.3, 0.1), (0.2, 0.2), (0.1, 0.3)])
    )
    assert special.correlation == pytest.approx(-1)
    assert general.correlation is None
    assert general.ranks == (2.0, 2.0, 2.0)


def test_without_two_points_on_both_splits_nothing_can_be_said() -> None:
    assert agreement(with_scores([(0.1, 0.2)], [(0.3, 0.1)])) == ()
    untested = replace(SUMMARY, test={}, theta_0=replace(SUMMARY.theta_0, test=None))
    assert agreement(untested) == ()
