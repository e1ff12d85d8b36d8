"""A labelled split that was cut in two, and its score on the whole."""

import numpy as np
import pytest
from synthetic_sweep import ROLES, make_records

from rayforget.errors import RecordError
from rayforget.frontier.gather import gather
from rayforget.frontier.points import PointKey
from rayforget.frontier.split_halves import HalvedTask, halved_tasks, join_halves, whole_scores
from rayforget.space.models import Space
from rayforget.values.scores import Score


def accuracy(*items: bool) -> Score:
    return Score(rule="accuracy", items=np.array(items, dtype=np.bool_), items_hash=str(len(items)))


def bits(items: list[float], weights: list[float]) -> Score:
    return Score(
        rule="bits_per_byte",
        items=np.array(items, dtype=np.float32),
        weights=np.array(weights, dtype=np.float32),
        items_hash=str(len(items)),
    )


def test_the_whole_is_the_mean_over_all_items_not_of_the_two_parts() -> None:
    assert join_halves(accuracy(True), accuracy(True, False, False), task="t").value == 0.5


def test_the_whole_of_a_likelihood_weighs_every_byte_alike() -> None:
    found = join_halves(bits([1.0], [30.0]), bits([2.0, 4.0], [10.0, 10.0]), task="t")
    assert found.value == pytest.approx(2 ** -((30 + 20 + 40) / 50))


def test_the_whole_of_a_balanced_accuracy_is_the_mean_of_all_its_classes_recalls() -> None:
    def balanced(items: list[bool], classes: list[int]) -> Score:
        found = np.array(items, dtype=np.bool_)
        return Score(
            rule="balanced_accuracy", items=found, classes=np.array(classes, dtype=np.int32), items_hash=str(len(items))
        )

    found = join_halves(balanced([True, False], [0, 1]), balanced([True, True, True], [0, 1, 1]), task="t")
    assert found.value == pytest.approx((2 / 2 + 2 / 3) / 2)


def test_parts_of_different_rules_are_refused() -> None:
    with pytest.raises(RecordError, match="task t: val is scored by accuracy, test by bits_per_byte"):
        join_halves(accuracy(True), bits([1.0], [1.0]), task="t")


def test_every_model_with_test_scores_gets_its_whole_and_a_mean_is_one_of_models() -> None:
    records, tests = make_records(trials=1, fractions=(1.0,))
    gathered = gather(records, ROLES)
    points = sorted(gathered.points, key=lambda point: point.key)
    index = {point.key: i for i, point in enumerate(points)}
    theta_0 = (index[PointKey("theta_0", 0, 0.0)],)
    plain = tuple(index[PointKey(f"plain-{seed}", 80, 1.0)] for seed in range(3))
    untested = dict(tests)
    del untested[PointKey("plain-0", 80, 0.5)]
    models = [theta_0, plain, (), (index[PointKey("plain-0", 80, 0.5)],)]
    halved = [HalvedTask(name="sketch", seed=0, val_share=0.5)]
    found = whole_scores(halved, models, points, val=gathered.val, test=untested)
    assert [(one.task, one.points) for one in found] == [("sketch", theta_0), ("sketch", plain)]
    by_hand = [
        np.concatenate((gathered.val[points[i].key]["sketch"].items, tests[points[i].key]["sketch"].items)).mean()
        for i in plain
    ]
    assert found[1].whole == pytest.approx(np.mean(by_hand))
    assert found[1].num_items == 499 * 2
    assert min(found[1].val, found[1].test) <= found[1].whole <= max(found[1].val, found[1].test)


def test_a_space_names_its_tasks_with_a_cut() -> None:
    def folder(name: str) -> dict[str, str]:
        return {"kind": "folder", "path": f"/data/{name}"}

    own = {split: folder(split) for split in ("train", "val", "test")}
    tasks = {
        "s": {"kind": "zero_shot", "role": "speciality", "templates": ["a {}"], **own},
        "g": {
            "kind": "zero_shot",
            "role": "generality",
            "group": "d",
            "cut": {"source": folder("g"), "seed": 3, "val_share": 0.25},
        },
    }
    space = Space.model_validate(
        {
            "name": "toy",
            "foundation": {"kind": "clip", "model": "builtin"},
            "tasks": tasks,
            "recipe": {"learning_rate": 1e-4, "epochs": 1, "batch_size": 8},
            "methods": {"full": {}},
            "plain": {},
            "search": {"trainings": 1, "seed": 0},
        }
    )
    assert halved_tasks(space) == (HalvedTask(name="g", seed=3, val_share=0.25),)
