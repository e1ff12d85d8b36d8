"""The series of what is recovered equals a summary of each beginning of the sweep."""

import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
from synthetic_sweep import METHODS, ROLES, make_records

from rayforget.errors import RecordError
from rayforget.frontier.baseline_errors import BaselineErrors
from rayforget.frontier.compare import summarise
from rayforget.frontier.gather import gather
from rayforget.frontier.points import FrontierPoint
from rayforget.frontier.progress import recovered_now, recovered_so_far
from rayforget.frontier.recovered import Recovered
from rayforget.record.standing import order_of_finish
from rayforget.values.records import CheckpointRecord


def no_errors(theta_0: FrontierPoint, plain: Sequence[FrontierPoint]) -> tuple[float, float]:
    return (0.0, 0.0)


@pytest.mark.parametrize(("trials", "seeds"), [(7, 3), (1, 1), (0, 2), (5, 0)])
def test_every_value_is_that_of_a_summary_of_so_many_trainings(trials: int, seeds: int) -> None:
    records, _ = make_records(trials=trials, seeds=seeds, scale=0.1)
    gathered = gather(records, ROLES)
    names = sorted({point.trial for point in gathered.points} - {"theta_0"})
    expected = []
    for count in range(1, len(names) + 1):
        known = {"theta_0", *names[:count]}
        points = [point for point in gathered.points if point.trial in known]
        recovery = summarise(
            points, ROLES, val=gathered.val, test={}, name="", seed=0, num_resamples=0
        ).recovery  # fmt: skip
        if recovery.val is not None:
            expected.append((count, recovery.val))
    found = recovered_so_far(gathered.points[::-1], order=names, errors=no_errors)
    assert [count for count, _ in found] == [count for count, _ in expected]
    for (_, one), (_, other) in zip(found, expected, strict=True):
        assert one.hypervolume == pytest.approx(other.hypervolume, rel=1e-12)
        assert one.value == (None if other.value is None else pytest.approx(other.value, rel=1e-12))
        assert (one.box, one.reason) == (other.box, other.reason)


def test_it_never_falls_while_the_reference_stays() -> None:
    records, _ = make_records(trials=9, seeds=1, scale=0.1)
    points = gather(records, ROLES).points
    first = [point for point in points if point.trial in ("theta_0", "plain-0")]
    rest = [point for point in points if point not in first]
    order = sorted({point.trial for point in points})
    areas = [each.hypervolume for _, each in recovered_so_far([*first, *rest], order=order, errors=no_errors)]
    assert areas == sorted(areas)


@pytest.mark.parametrize(("scale", "undefined"), [(0.2, True), (1.0, False)])
def test_with_errors_it_is_undefined_where_a_report_says_so(
    scale: float, undefined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain fine-tuning gains 2 points and loses 1: with few items both may as well be nothing."""
    monkeypatch.setitem(METHODS, "full", (0.2, 0.05, 0.0))
    records, _ = make_records(trials=3, seeds=2, scale=scale, fractions=(1.0,))
    gathered = gather(records, ROLES)
    reported = summarise(gathered.points, ROLES, val=gathered.val, test={}, name="", seed=0)
    errors = BaselineErrors(ROLES)
    found = recovered_so_far(
        gathered.points,
        order=sorted({point.trial for point in gathered.points}),
        errors=lambda theta_0, plain: errors(theta_0, plain, gathered.val),
    )
    assert reported.recovery.val is not None
    now = recovered_now(gathered.points, lambda theta_0, plain: errors(theta_0, plain, gathered.val))
    for one in (found[-1][1], now):
        assert one is not None
        assert one.value == reported.recovery.val.value
        assert (one.value is None) == (reported.recovery.val.value is None) == undefined
        assert one.reason == reported.recovery.val.reason


def test_a_step_keeps_its_value_whatever_ends_later() -> None:
    """With two slots the second trial often ends before the first; a resumed sweep finishes what was left behind."""
    records, _ = make_records(trials=6, seeds=2, scale=0.1, fractions=(0.5, 1.0))
    ends = {"plain-1": 1.0, "t0002": 2.0, "plain-0": 3.0, "t0001": 4.0, "t0000": 5.0, "t0004": 6.0, "t0003": 7.0}
    records = [replace(one, finished=ends.get(one.trial, 0.0) + one.fraction / 10) for one in records]
    whole, earlier = series(records), None
    assert len(whole) == 7
    for time_ in range(8):
        known = [one for one in records if one.finished <= time_ + 0.5]
        unfinished = [one for one in records if one.trial == "t0003" and one.fraction == 0.5]
        found = series([*known, *(one for one in unfinished if one not in known)])
        assert found == whole[: len(found)]
        assert earlier is None or len(found) >= len(earlier)
        earlier = found
    assert series(records, before=3.5) == whole[:3]


def series(records: Sequence[CheckpointRecord], before: float | None = None) -> list[tuple[int, Recovered]]:
    points = gather(records, ROLES).points
    return recovered_so_far(points, order=order_of_finish(records, before=before), errors=no_errors)


def test_without_theta_0_it_says_what_is_missing() -> None:
    with pytest.raises(RecordError, match="one point of theta_0, found 0"):
        recovered_so_far([], order=[], errors=no_errors)


def test_hundreds_of_trainings_take_moments() -> None:
    """300 trainings with 22 points each take far less than the two seconds that a user would notice."""
    points = [point("theta_0", "theta_0", 0.0, 0)]
    points += [point(f"{n:04d}-full", "plain" if n < 3 else "full", k / 21, n) for n in range(300) for k in range(22)]
    started = time.perf_counter()
    order = [f"{n:04d}-full" for n in range(300)]
    assert len(recovered_so_far(points, order=order, errors=no_errors)) == 300
    assert time.perf_counter() - started < 2


def point(trial: str, method: str, alpha: float, number: int) -> FrontierPoint:
    bend = (number * 37 % 101) / 101
    return FrontierPoint(
        trial=trial,
        step=5,
        alpha=alpha,
        fraction=1.0,
        method=method,
        coarse=True,
        speciality=0.5 + 0.2 * alpha * (0.5 + bend),
        generality=0.6 - 0.2 * alpha**2 * (1.5 - bend),
    )
