"""What an earlier training of the same name left behind counts only as far as it fits the one that is made again."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_pipeline import job
from train.learners import VectorLearner
from vector_equipment import no_heartbeat, objectives_of, vector_equipment, vector_recipe

from rayforget.errors import RecordError
from rayforget.evaluate.finite import NotFinite
from rayforget.record.jobs import TestJob
from rayforget.record.resume import Owner, newest_resume, save_resume
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.record.weights import load_theta_1
from rayforget.train.loop import train
from rayforget.trial.pipeline import _owner, _state_to_resume, run_trial, score_tests
from rayforget.values.points import Spot


@pytest.mark.parametrize("seed", [0, 5])
def test_scores_on_test_are_those_of_the_recorded_weights(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    """A deleted record is made again; if the weights differ, the scores of the earlier ones do not count."""
    equipment = vector_equipment(tmp_path)
    (first,) = run_trial(job(), equipment, no_heartbeat)
    tests = TestJob(trial=first.trial, step=first.step, spots=(Spot(1.0),))
    assert score_tests([tests], equipment, no_heartbeat) == 1
    equipment.sweep.store.delete(f"points/{first.key}.json")
    assert equipment.sweep.test_scores(), "what was deleted is told by the scores on test that are left"

    later = vector_equipment(tmp_path)
    (again,) = run_trial(job(recipe=vector_recipe(seed=seed)), later, no_heartbeat)
    assert (again.theta_1_hash == first.theta_1_hash) == (seed == 0)
    assert len(later.sweep.test_scores()) == (seed == 0)
    assert len(vector_equipment(tmp_path).sweep.test_scores()) == (seed == 0)
    told = f"are of weights with hash {first.theta_1_hash}, and its record, made again since, is of"
    assert caplog.text.count(told) == (0 if seed == 0 else 2), "once for each opened sweep"
    assert score_tests([tests], later, no_heartbeat) == (seed != 0)
    (scores,) = later.sweep.test_scores().values()
    checkpoint = load_theta_1(later.sweep.store, again, later.foundation.theta_0)
    (own,) = later.foundation.scorer(None).score([checkpoint], "test")
    assert not isinstance(own, NotFinite)
    assert objectives_of(scores) == objectives_of(own)


@pytest.mark.parametrize(
    ("learnt", "old"), [({"num_items": 370}, False), ({"num_items": 370}, True), ({"seed": 3}, False)]
)
def test_a_state_of_other_data_is_not_gone_on_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, learnt: dict[str, int], old: bool
) -> None:
    equipment = vector_equipment(tmp_path)
    (alone,) = run_trial(job("0002-full"), equipment, no_heartbeat)
    folder, recipe = equipment.sweep.resume_folder("0001-full"), job().recipe
    owner = Owner(sweep="v", trial="0001-full", recipe=recipe.key)

    def save(state: Mapping[str, Any]) -> None:
        save_resume(folder, _as_before(state) if old else state, owner)

    for _ in train(VectorLearner(**learnt), recipe, seed=0, fractions=(1.0,), save=save, save_every_s=0.0):
        pass
    assert newest_resume(folder, owner) is not None
    (record,) = run_trial(job(), equipment, no_heartbeat)
    assert (record.fraction, record.facts["resumed_from"]) == (1.0, 0)
    assert record.theta_1_hash == alone.theta_1_hash
    assert "the training begins anew" in caplog.text


def _as_before(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state of a version that did not write down whose it is, beyond the end of the training that finds it."""
    return {**{key: value for key, value in state.items() if key != "training"}, "step": 99}


def test_a_training_whose_end_cannot_be_recorded_is_no_result(tmp_path: Path) -> None:
    """Its last step has the record of a longer training's middle."""
    equipment = vector_equipment(tmp_path)
    (record,) = run_trial(job(), equipment, no_heartbeat)
    equipment.sweep.store.delete(f"points/{record.key}.json")
    equipment.sweep.add(replace(record, fraction=0.5))
    with pytest.raises(RecordError, match=rf"training 0001-full ended, .*: recorded are step {record.step} \(50%\), "):
        run_trial(job(), equipment, no_heartbeat)


def test_a_state_is_the_trainings_own_after_its_sweeps_folder_is_renamed(tmp_path: Path) -> None:
    equipment = vector_equipment(tmp_path)
    owner, recipe = Owner(sweep=equipment.sweep.info.name, trial="0001-full", recipe=job().recipe.key), job().recipe
    states: list[Mapping[str, Any]] = []
    for _ in train(VectorLearner(), recipe, seed=0, fractions=(1.0,), save=states.append, save_every_s=0.0):
        pass
    (tmp_path / "v").rename(tmp_path / "w")
    renamed = replace(equipment, sweep=Sweep.open(Store.open(tmp_path), "w"))
    save_resume(renamed.sweep.resume_folder("0001-full"), states[0], owner)
    state = _state_to_resume(renamed.sweep.resume_folder("0001-full"), _owner(job(), renamed), renamed)
    assert state is not None
    assert state["step"] == states[0]["step"]
