"""The leading points represent all: whatever a report chooses among all points it chooses among these."""

import numpy as np
import pytest

from rayforget.frontier.choose import choose_by_method, choose_frontier, points_to_report
from rayforget.frontier.leading import Leading
from rayforget.frontier.points import PLAIN, THETA_0, FrontierPoint
from rayforget.record.retention import retain


def trainings(seed: int, count: int, levels: int) -> list[list[FrontierPoint]]:
    """theta_0, then trainings of plain and two methods; on a coarse grid many points tie or are equal."""
    rng = np.random.default_rng(seed)

    def point(trial: str, step: int, alpha: float, method: str) -> FrontierPoint:
        special, general = (rng.integers(0, levels, 2) / levels).tolist()
        return FrontierPoint(
            trial=trial, step=step, alpha=alpha, fraction=step / 10, method=method, coarse=alpha != 0.3,
            speciality=special, generality=general,
        )  # fmt: skip

    found = [[point("theta_0", 0, 0.0, THETA_0)]]
    for number in range(count):
        method = (PLAIN, "full", "l2")[number % 3]
        found.append(
            [point(f"{number:04d}-{method}", step, a, method) for step in (5, 10) for a in (0.0, 0.3, 0.5, 1.0)]
        )
    return found


def keys(points: list[FrontierPoint], chosen: tuple[int, ...]) -> list[object]:
    return [points[index].key for index in chosen]


@pytest.mark.parametrize("levels", [3, 8, 1000])
@pytest.mark.parametrize("seed", range(8))
def test_what_is_chosen_of_the_leading_points_is_what_is_chosen_of_all(seed: int, levels: int) -> None:
    rng, leading, every = np.random.default_rng(seed), Leading(), []
    found = trainings(seed, 13, levels)
    for index in rng.permutation(len(found)):
        every += found[index]
        leading.add(found[index])
        some = list(leading.points)
        assert some == [point for point in sorted(every, key=lambda point: point.key) if point in some]
        for choice in (choose_frontier, points_to_report):
            assert sorted(keys(some, choice(some))) == sorted(keys(every, choice(every)))
        for mine, whole in zip(choose_by_method(some), choose_by_method(every), strict=True):
            assert (mine.method, keys(some, mine.alpha_1)) == (whole.method, keys(every, whole.alpha_1))
            assert keys(some, mine.curve) == keys(every, whole.curve)
    assert {point.key for point in leading.points} == set(keys(every, points_to_report(every)))


@pytest.mark.parametrize("seed", range(8))
def test_what_stays_on_disk_is_decided_from_them_and_the_stored_checkpoints_alone(seed: int) -> None:
    rng, leading = np.random.default_rng(seed), Leading()
    every = [point for training in trainings(seed, 9, 20) for point in training]
    leading.add(every)
    checkpoints = sorted({(point.trial, point.step) for point in every if point.method != THETA_0})
    stored = {checkpoint: 1 for checkpoint in checkpoints if rng.random() < 0.6}
    own = [point for point in every if (point.trial, point.step) in stored]
    for margin in ((0.0, 0.0), (0.1, 0.2)):
        for most in (0, 3, 100):
            known = {point.key: point for point in (*leading.points, *own)}
            assert retain(list(known.values()), stored, margin=margin, max_bytes=most) == retain(
                every, stored, margin=margin, max_bytes=most
            )


def test_a_training_that_is_told_again_with_more_points_counts_once() -> None:
    leading, other = Leading(), Leading()
    first, second = trainings(3, 1, 10)
    leading.add(first)
    leading.add(second[:4])
    leading.add(second)
    other.add([*first, *second])
    assert leading.points == other.points
