"""The data sets that MLflow lists are those on which the points were scored."""

import json
from pathlib import Path

from synthetic_sweep import ROLES, add_tests, make_records, make_space, make_sweep, untested

from rayforget.report.mlflow.data_used import data_used


def test_every_task_is_listed_for_each_split_that_was_scored_with_its_digest_and_source(tmp_path: Path) -> None:
    space = make_space(tmp_path, trainings=2, seeds=1)
    records, test = make_records(trials=2, seeds=1, scale=0.1, failures=0, fractions=(1.0,))
    sweep = make_sweep(space, "s", records, at=1.0)
    on_val = data_used(sweep, space, ROLES)
    assert [(each.task, each.split, each.digest) for each in on_val] == [
        (role.name, "val", f"val/{role.name}") for role in ROLES
    ]
    add_tests(sweep, untested(sweep), test, at=2.0)
    both = data_used(sweep, space, ROLES)
    assert {each.digest for each in both} - {each.digest for each in on_val} == {f"test/{role.name}" for role in ROLES}
    (photo,) = [each for each in on_val if each.task == "photo"]
    theta_0 = sweep.record("theta_0", 0)
    assert photo.num_items == len(theta_0.points[0].scores["photo"].items)
    assert json.loads(photo.source)["val"]["style"] == "photo"


def test_passwords_in_a_source_are_not_handed_on(tmp_path: Path) -> None:
    space = make_space(tmp_path, trainings=2, seeds=1)
    task = space.tasks["photo"].model_copy(update={"templates": ("https://me:secret@host/{}",)})
    space = space.model_copy(update={"tasks": {**space.tasks, "photo": task}})
    records, _ = make_records(trials=1, seeds=1, scale=0.1, failures=0, fractions=(1.0,))
    sources = [each.source for each in data_used(make_sweep(space, "s", records, at=1.0), space, ROLES)]
    assert any("https://me:***@host" in source for source in sources)
    assert not any("secret" in source for source in sources)
