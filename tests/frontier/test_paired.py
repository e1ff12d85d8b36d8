"""What a point reaches of a limit, with its paired interval, and the verdict by it: closed forms and limits."""

import math

import numpy as np
import pytest

from rayforget.errors import RecordError
from rayforget.frontier.gate import judge, judge_all
from rayforget.frontier.limits import Floor, floors_of, limits_in_points
from rayforget.frontier.paired import Reached, lowest_values, reached
from rayforget.frontier.points import PointKey, TaskRole
from rayforget.values.scores import Score

ROLES = (
    TaskRole(name="s", role="speciality", group=""),
    TaskRole(name="a", role="generality", group="both"),
    TaskRole(name="b", role="generality", group="both"),
    TaskRole(name="c", role="generality", group="other"),
)
BASE, TUNED = PointKey("theta_0", 0, 0.0), PointKey("t", 5, 1.0)
NUM = {"s": 301, "a": 401, "b": 799, "c": 997}


def pair_of_models(gain: float = 0.1, loss: float = 0.1) -> dict[PointKey, dict[str, Score]]:
    """Two models that differ on few items."""
    found: dict[PointKey, dict[str, Score]] = {BASE: {}, TUNED: {}}
    for task, num in NUM.items():
        rng = np.random.default_rng(num)
        before = rng.random(num) < 0.6
        flipped = rng.random(num) < (gain if task == "s" else loss)
        after = before ^ flipped & (before != (task == "s"))
        for key, items in ((BASE, before), (TUNED, after)):
            found[key][task] = Score(rule="accuracy", items=items, items_hash=task)
    return found


def differences(scores: dict[PointKey, dict[str, Score]], task: str) -> np.ndarray:
    return scores[TUNED][task].items.astype(float) - scores[BASE][task].items.astype(float)


FLOORS = floors_of(limits_in_points(max_forgetting=1, min_speciality=50, keep={"c": 2, "both": 3}), ROLES)


def test_values_and_intervals_are_those_of_paired_differences() -> None:
    scores = pair_of_models()
    found = {one.floor.name: one for one in reached(FLOORS, TUNED, scores, ROLES, theta_0=BASE)}
    means = {task: differences(scores, task).mean() for task in NUM}
    errors = {task: differences(scores, task).std() / math.sqrt(NUM[task]) for task in NUM}
    special = scores[TUNED]["s"].items
    expected = {
        "c": (means["c"], errors["c"]),
        "both": ((means["a"] + means["b"]) / 2, math.hypot(errors["a"], errors["b"]) / 2),
        "generality": (
            (means["a"] + means["b"]) / 4 + means["c"] / 2,
            math.hypot(errors["a"] / 4, errors["b"] / 4, errors["c"] / 2),
        ),
        "speciality": (special.mean(), special.std() / math.sqrt(NUM["s"])),
    }
    assert found.keys() == expected.keys()
    for name, (value, error) in expected.items():
        assert found[name].value == pytest.approx(value)
        assert found[name].low == pytest.approx(value - 1.96 * error, abs=0.25 * error)
        assert found[name].high == pytest.approx(value + 1.96 * error, abs=0.25 * error)


def test_many_points_have_the_lower_ends_that_each_has_alone() -> None:
    scores = pair_of_models()
    keys = [PointKey(f"t{i}", 5, 1.0) for i in range(70)]  # more than are read at a time
    many = {BASE: scores[BASE]} | {key: scores[TUNED if i % 2 else BASE] for i, key in enumerate(keys)}
    lows = lowest_values(FLOORS, keys, many, ROLES, theta_0=BASE)
    alone = [one.low for one in reached(FLOORS, TUNED, scores, ROLES, theta_0=BASE)]
    np.testing.assert_allclose(lows[1::2], np.tile(alone, (35, 1)), atol=1e-12)
    relative = [place for place, floor in enumerate(FLOORS) if floor.relative]
    assert (lows[::2][:, relative] == 0).all()  # theta_0 against itself
    assert lowest_values((), keys, many, ROLES, theta_0=BASE).shape == (70, 0)
    assert lowest_values(FLOORS, [], many, ROLES, theta_0=BASE).shape == (0, 4)


def test_a_name_that_a_task_and_a_group_share_is_the_tasks() -> None:
    roles = (*ROLES[:1], *(TaskRole(name=name, role="generality", group="a") for name in ("a", "b")))
    (floor,) = floors_of(limits_in_points(max_forgetting=1, keep={"a": 2}), roles)[1:]
    assert (floor.of, floor.tasks, floor.least) == ("task", ("a",), -0.02)


def test_a_missing_score_is_named() -> None:
    scores = pair_of_models()
    del scores[TUNED]["b"]
    with pytest.raises(RecordError, match=r"t/5/lerp/1.0 has no score for task b"):
        lowest_values(FLOORS, [TUNED], scores, ROLES, theta_0=BASE)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.01, 0.03, "holds"),
        (-0.0099, 0.03, "holds"),
        (-0.0101, 0.03, "open"),
        (-0.03, -0.01, "open"),
        (-0.03, -0.0101, "fails"),
        (-0.01, -0.01, "holds"),
    ],
)
def test_the_verdict_is_by_the_whole_interval(low: float, high: float, verdict: str) -> None:
    floor = Floor(of="generality", name="generality", relative=True, least=-0.01)
    assert judge(Reached(floor=floor, value=(low + high) / 2, low=low, high=high)) == verdict


def test_of_several_limits_the_worst_decides() -> None:
    floor = Floor(of="generality", name="generality", relative=True, least=0.0)
    holds, fails, undecided = (
        Reached(floor=floor, value=value, low=value - 0.1, high=value + 0.1) for value in (0.5, -0.5, 0.0)
    )
    assert judge_all([holds, holds]) == "holds"
    assert judge_all([holds, undecided]) == "open"
    assert judge_all([undecided, fails, holds]) == "fails"
