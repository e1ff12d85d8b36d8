"""What each method changes on each task: by hand on few items, paired, and on the split where all are scored."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from rayforget.frontier.compare import summarise
from rayforget.frontier.forgetting import Forgetting, best_within, forgetting
from rayforget.frontier.points import FrontierPoint, PointKey, TaskRole, trade_offs
from rayforget.frontier.summary import Summary
from rayforget.values.scores import Score

ROLES = (
    TaskRole(name="s", role="speciality", group=""),
    TaskRole(name="a", role="generality", group="x"),
    TaskRole(name="b", role="generality", group="y"),
)
# model -> right answers of 20 in s, a, b
MODELS = {
    ("theta_0", 0.0): (8, 16, 16),
    ("plain-0", 1.0): (16, 8, 12),
    ("plain-1", 1.0): (14, 10, 12),
    ("t0-l2", 0.5): (12, 16, 16),
    ("t0-l2", 1.0): (15, 11, 16),
    ("t1-kd", 0.5): (7, 15, 16),
    ("t1-kd", 1.0): (9, 9, 16),
}
BUDGET = 0.01


def scored(right: tuple[int, ...], split: str) -> dict[str, Score]:
    return {
        role.name: Score(rule="accuracy", items=np.arange(20) < count, items_hash=f"{split}/{role.name}")
        for role, count in zip(ROLES, right, strict=True)
    }


def world(split: str) -> dict[PointKey, Mapping[str, Score]]:
    return {
        PointKey(trial, 0 if trial == "theta_0" else 9, alpha): scored(right, split)
        for (trial, alpha), right in MODELS.items()
    }


VAL, TEST = world("val"), world("test")


def sweep(test: Mapping[PointKey, Mapping[str, Score]]) -> Summary:
    points = []
    for key, scores in VAL.items():
        values = {task: score.value for task, score in scores.items()}
        ((special, general),) = trade_offs([values], ROLES)
        method = "theta_0" if key.trial == "theta_0" else key.trial.split("-")[0 if key.trial[0] == "p" else 1]
        points.append(
            FrontierPoint(
                trial=key.trial, step=key.step, alpha=key.alpha, fraction=float(key.step > 0), method=method,
                coarse=True, speciality=special, generality=general, tasks=values, recipe={"method": method},
            )
        )  # fmt: skip
    return summarise(points, ROLES, val=VAL, test=test, name="s", seed=0, num_resamples=0)


def found(
    test: Mapping[PointKey, Mapping[str, Score]], *, picked: int | None = None, resamples: int = 200
) -> Forgetting:
    return forgetting(sweep(test), val=VAL, test=test, max_loss=BUDGET, picked=picked, num_resamples=resamples)


def test_changes_are_differences_to_theta_0_of_plains_mean_and_of_each_methods_best_point_within_the_budget() -> None:
    columns = {column.method: column for column in found(TEST).columns}
    assert [change.value for change in columns["plain"].changes] == pytest.approx([0.35, -0.35, -0.2])
    (place,) = columns["l2"].points
    assert sweep(TEST).points[place].key == PointKey("t0-l2", 9, 0.5)
    assert [change.value for change in columns["l2"].changes] == pytest.approx([0.2, 0.0, 0.0])


def test_a_method_without_a_point_within_the_budget_has_no_changes() -> None:
    summary = sweep(TEST)
    kd = next(column for column in found(TEST).columns if column.method == "kd")
    assert (kd.points, kd.changes) == ((), ())  # at α = 1 it loses too much, at 0.5 it gains nothing
    assert best_within(summary, (), max_loss=BUDGET) is None
    plenty = best_within(summary, range(len(summary.points)), max_loss=1.0)
    assert plenty is not None
    assert summary.points[plenty].speciality == max(point.speciality for point in summary.points)


def test_the_pick_has_a_column_of_its_own_unless_it_is_a_methods_point() -> None:
    points = sweep(TEST).points
    of = {point.key: place for place, point in enumerate(points)}
    own = next(c.points[0] for c in found(TEST).columns if c.method == "l2")
    assert found(TEST, picked=own).columns == found(TEST).columns
    other = of[PointKey("t0-l2", 9, 1.0)]
    columns = found(TEST, picked=other).columns
    assert [c.method for c in columns] == ["plain", "l2", *(c.method for c in found(TEST).columns[1:])]
    assert columns[1].points == (other,)
    assert [change.value for change in columns[1].changes] == pytest.approx([0.35, -0.25, 0.0])


def test_intervals_are_paired_and_of_plains_mean() -> None:
    """Equal models differ by nothing in every resample; McNemar's error of the others gives their intervals."""
    columns = {column.method: column for column in found(TEST, resamples=4000).columns}
    same = columns["l2"].changes[1]
    assert (same.low, same.high, same.is_sure) == (0.0, 0.0, False)
    gained = columns["l2"].changes[0]  # 4 of 20 items became right, none wrong
    error = np.sqrt(0.2 * 0.8 / 20)
    assert gained.low is not None
    assert gained.high is not None
    assert gained.high - gained.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert gained.is_sure
    lost = columns["plain"].changes[1]
    assert lost.high is not None
    assert lost.high < 0
    assert lost.is_sure


def test_the_split_is_test_only_where_all_of_these_points_are_scored_there() -> None:
    assert found(TEST).split == "test"
    chosen = PointKey("t0-l2", 9, 0.5)
    some = {key: scores for key, scores in TEST.items() if key != chosen}
    assert found(some).split == "val"
    other = {**TEST, chosen: scored((20, 0, 0), "test")}
    l2 = next(column for column in found(other).columns if column.method == "l2")
    assert l2.changes[0].value == pytest.approx(0.6)  # chosen on val, told on test


def test_without_a_bootstrap_there_are_no_intervals_and_nothing_is_sure() -> None:
    change = found(TEST, resamples=0).columns[0].changes[0]
    assert (change.low, change.high, change.is_sure) == (None, None, False)
    assert replace(change, low=0.1, high=0.2).is_sure
