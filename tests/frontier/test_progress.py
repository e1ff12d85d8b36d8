"""The series of what is recovered is what a summary of each beginning of the sweep says."""

import time

import pytest
from synthetic_sweep import ROLES, make_records

from rayforget.errors import RecordError
from rayforget.frontier.compare import summarise
from rayforget.frontier.gather import gather
from rayforget.frontier.points import FrontierPoint
from rayforget.frontier.progress import recovered_so_far


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
    found = recovered_so_far(gathered.points[::-1])
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
    areas = [each.hypervolume for _, each in recovered_so_far([*first, *rest])]
    assert areas == sorted(areas)


def test_without_theta_0_it_says_what_is_missing() -> None:
    with pytest.raises(RecordError, match="one point of theta_0, found 0"):
        recovered_so_far([])


def test_hundreds_of_trainings_take_moments() -> None:
    """300 trainings with 22 points each: far under the two seconds that a user would notice."""
    points = [point("theta_0", "theta_0", 0.0, 0)]
    points += [point(f"{n:04d}-full", "plain" if n < 3 else "full", k / 21, n) for n in range(300) for k in range(22)]
    started = time.perf_counter()
    assert len(recovered_so_far(points)) == 300
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
