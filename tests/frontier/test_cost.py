"""What trainings took and recover: seconds of the record, and the series against time."""

from dataclasses import replace

import pytest
from synthetic_sweep import ROLES, make_records

from rayforget.frontier.compare import summarise
from rayforget.frontier.cost import cost_of, train_seconds
from rayforget.frontier.gather import gather
from rayforget.frontier.hypervolume import hypervolume
from rayforget.frontier.points import PointKey
from rayforget.values.records import CheckpointRecord

RECORDS, TEST = make_records(trials=4, seeds=2, failures=1, scale=0.2)
FOUND = gather(RECORDS, ROLES)
SUMMARY = summarise(FOUND.points, ROLES, val=FOUND.val, test={}, name="s", seed=0, num_resamples=0)
ORDER = ["plain-0", "plain-1", "t0003", "t0000", "t0001", "t0002"]
"""As they ended; t0003 failed."""


def timed(seconds: dict[str, float]) -> list[CheckpointRecord]:
    return [
        replace(r, seconds={"train": seconds[r.trial] * r.fraction, "evaluate": 1000.0}) if r.trial in seconds else r
        for r in RECORDS
    ]


def test_a_training_took_what_its_last_checkpoint_says_and_scoring_is_not_in_it() -> None:
    assert train_seconds(timed({"t0000": 80.0, "plain-1": 30.0})) == {"t0000": 80.0, "plain-1": 30.0}


def test_each_training_recovers_the_area_of_its_own_points_in_the_box() -> None:
    cost = cost_of(SUMMARY, {"t0000": 80.0, "t0002": 20.0}, order=ORDER, series=[])
    assert [(each.trial, each.seconds) for each in cost.trainings] == [("t0000", 80.0), ("t0002", 20.0)]
    assert SUMMARY.plain is not None
    low, high = SUMMARY.theta_0.val.pair, SUMMARY.plain.val.pair
    for each in cost.trainings:
        own = [(p.speciality, p.generality) for p in SUMMARY.points if p.trial == each.trial]
        box = (high[0] - low[0]) * (low[1] - high[1])
        assert each.recovered == pytest.approx(hypervolume_of(own, (low[0], high[1])) / box)
        assert each.method == next(p.method for p in SUMMARY.points if p.trial == each.trial)


def hypervolume_of(pairs: list[tuple[float, float]], corner: tuple[float, float]) -> float:
    import numpy as np

    return hypervolume(np.array(pairs), corner)


def test_progress_adds_up_the_seconds_of_the_trainings_that_the_series_counts() -> None:
    """The failed training has no point and is not counted; one without a time adds nothing."""
    seconds = {"plain-0": 10.0, "plain-1": 20.0, "t0003": 500.0, "t0001": 5.0, "t0002": 7.0}
    series = [(1, 0.2), (2, 0.2), (3, 0.5), (4, 0.9), (5, 1.1)]
    cost = cost_of(SUMMARY, seconds, order=ORDER, series=series)
    assert cost.progress == ((10.0, 0.2), (30.0, 0.2), (30.0, 0.5), (35.0, 0.9), (42.0, 1.1))


def test_without_times_there_is_no_progress_and_without_plain_nothing_recovered() -> None:
    assert cost_of(SUMMARY, {}, order=ORDER, series=[(1, 0.2)]).progress == ()
    points = [point for point in FOUND.points if point.method != "plain"]
    val = {key: scores for key, scores in FOUND.val.items() if isinstance(key, PointKey)}
    alone = summarise(points, ROLES, val=val, test={}, name="s", seed=0, num_resamples=0)
    assert [each.recovered for each in cost_of(alone, {"t0000": 1.0}, order=ORDER, series=[]).trainings] == [None]
