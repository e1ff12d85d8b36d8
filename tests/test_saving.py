"""Weights are hashed and written while their curve is scored; a record follows its weights, or there is none."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor
from vector_equipment import VectorScorer, no_heartbeat, vector_equipment, vector_recipe, vector_space

import rayforget.trial.saving
from rayforget.errors import StorageError
from rayforget.evaluate.finite import NotFinite, Scored
from rayforget.foundations.protocol import State
from rayforget.interpolate.hashing import state_hash
from rayforget.record.jobs import TrialJob
from rayforget.record.weights import load_theta_1, save_weights, weights_name
from rayforget.search.agenda import Agenda, NamedJob
from rayforget.search.study import CurveStudy
from rayforget.space.methods import methods_of
from rayforget.trial.equipment import Equipment
from rayforget.trial.pipeline import run_trial
from rayforget.values.scores import Split

JOB = TrialJob(name="0001-full", recipe=vector_recipe())


def weights_of(equipment: Equipment) -> list[str]:
    return [f"weights/{name}" for name in equipment.sweep.store.files("weights")]


class Waiting(VectorScorer):
    """Scores nothing before the weights are on disk."""

    def __init__(self, written: threading.Event) -> None:
        super().__init__()
        self._written = written

    def score(self, thetas: Sequence[State], split: Split) -> list[Scored]:
        assert self._written.wait(20), "the weights wait for the scores"
        return super().score(thetas, split)


def test_weights_are_written_while_the_curve_is_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = threading.Event()

    def save(store: Any, trial: str, step: int, changed: Mapping[str, Tensor]) -> int:
        size = save_weights(store, trial, step, changed)
        written.set()
        return size

    monkeypatch.setattr(rayforget.trial.saving, "save_weights", save)
    equipment = vector_equipment(tmp_path, scorer=Waiting(written))
    (record,) = run_trial(JOB, equipment, no_heartbeat)
    theta_1 = load_theta_1(equipment.sweep.store, record, equipment.foundation.theta_0)
    assert record.theta_1_hash == state_hash(theta_1)
    assert equipment.sweep.record(JOB.name, record.step).theta_1_hash == record.theta_1_hash


def test_weights_that_cannot_be_written_leave_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> int:
        raise StorageError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(rayforget.trial.saving, "save_weights", refuse)
        with pytest.raises(StorageError, match="the disk is full"):
            run_trial(JOB, vector_equipment(tmp_path), no_heartbeat)
    assert vector_equipment(tmp_path).sweep.trials() == {}


def test_a_model_without_scores_leaves_no_weights(tmp_path: Path) -> None:
    class Diverged(VectorScorer):
        def score(self, thetas: Sequence[State], split: Split) -> list[Scored]:
            return [NotFinite(items={"s": 1}) for _ in thetas]

    equipment = vector_equipment(tmp_path, scorer=Diverged())
    (record,) = run_trial(JOB, equipment, no_heartbeat)
    assert record.status == "failed"
    assert weights_of(equipment) == []


def test_weights_of_a_recorded_checkpoint_are_another_workers_and_stay(tmp_path: Path) -> None:
    equipment = vector_equipment(tmp_path)
    (record,) = run_trial(JOB, equipment, no_heartbeat)
    name = weights_name(JOB.name, record.step)
    before = equipment.sweep.store.read(name)
    other = {key: tensor + 1 for key, tensor in equipment.foundation.theta_0.items()}
    for end in (rayforget.trial.saving.Saving.finish, rayforget.trial.saving.Saving.drop):
        end(rayforget.trial.saving.Saving(equipment.sweep, JOB.name, record.step, theta_1=other, changed=other))
        assert equipment.sweep.store.read(name) == before


def agenda_of(equipment: Equipment) -> Agenda:
    space = vector_space()
    study = CurveStudy(methods_of(space), search=space.search, curve=space.curve, name="v")
    return Agenda(space, equipment.sweep, study)


def test_a_crash_between_weights_and_record_asks_for_the_same_training_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    equipment = vector_equipment(tmp_path)
    first = agenda_of(equipment).next()
    assert isinstance(first, NamedJob)
    assert isinstance(first.job, TrialJob)

    def die(record: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying:
        dying.setattr(equipment.sweep, "add", die)
        with pytest.raises(KeyboardInterrupt):
            run_trial(first.job, equipment, no_heartbeat)
    assert len(weights_of(equipment)) == 1
    left = equipment.sweep.store.read(weights_of(equipment)[0])
    again = vector_equipment(tmp_path)
    agenda = agenda_of(again)
    again.sweep.clean(set())
    assert weights_of(again) == [], "weights without a record are nobody's"
    following = agenda.next()
    assert isinstance(following, NamedJob)
    assert following.job == first.job
    run_trial(first.job, again, no_heartbeat)
    assert again.sweep.store.read(weights_of(again)[0]) == left
