"""`resources.deterministic` is on while a trial trains and scores, is recorded, and changes no bit on a CPU."""

import os
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from train.learners import VectorLearner
from vector_equipment import VectorFoundation, VectorScorer, no_heartbeat, vector_equipment, vector_recipe, vector_space

from rayforget.determinism import deterministic, seed_global_generators
from rayforget.errors import TrainingError
from rayforget.evaluate.finite import Scored
from rayforget.foundations.protocol import State
from rayforget.record.jobs import TestJob, TrialJob
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.trial import equipment as equipment_module
from rayforget.trial.equipment import Equipment, device_of
from rayforget.trial.equipment_spec import EquipmentSpec
from rayforget.trial.pipeline import run_trial, score_test
from rayforget.values.points import Spot
from rayforget.values.scores import Split


def flags() -> tuple[bool, bool, bool]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
    )


class Watching(VectorScorer):
    """Notes torch's flags at every call."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[bool, bool, bool]] = []

    def score(self, thetas: Sequence[State], split: Split) -> list[Scored]:
        self.seen.append(flags())
        return super().score(thetas, split)


@pytest.mark.parametrize("seed", [0, 7, 2**63 - 1])
def test_a_seed_gives_the_draws_of_each_librarys_own_seeding(seed: int) -> None:
    def draws() -> tuple[list[float], float, float]:
        return torch.rand(5).tolist(), float(np.random.rand()), random.random()

    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
    expected = draws()
    seed_global_generators(seed)
    assert draws() == expected


def job() -> TrialJob:
    return TrialJob(name="0001-full", recipe=vector_recipe())


@pytest.mark.parametrize("on", [False, True])
def test_it_holds_in_trainings_and_scores_and_ends_with_them(tmp_path: Path, on: bool) -> None:
    before, trained = flags(), []
    scorer = Watching()
    equipment = vector_equipment(tmp_path, scorer=scorer, resources={"deterministic": on})

    def listen(stage: str, done: int, total: int) -> None:
        if stage == "train":
            trained.append(flags())

    (record,) = run_trial(job(), equipment, listen)
    assert flags() == before
    score_test(TestJob(trial=record.trial, step=record.step, spots=(Spot(1.0),)), equipment, no_heartbeat)
    assert flags() == before
    assert set(trained) == set(scorer.seen) == {(True, True, False) if on else before}
    assert len(trained) == record.facts["total_steps"]


def test_on_a_cpu_no_bit_changes(tmp_path: Path) -> None:
    hashes = set()
    for name, resources in {"off": {}, "on": {"deterministic": True}}.items():
        (record,) = run_trial(job(), vector_equipment(tmp_path / name, resources=resources), no_heartbeat)
        hashes.add(record.theta_1_hash)
    assert len(hashes) == 1


class Puts(torch.nn.Module):
    """A layer whose forward torch can only run non-deterministically."""

    def __init__(self, inner: torch.nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        features.clone().put_(torch.zeros(1, dtype=torch.long), torch.ones(1), accumulate=False)
        logits: torch.Tensor = self.inner(features)
        return logits


def test_an_operation_without_a_deterministic_form_is_named_and_fails_its_trial_alone(tmp_path: Path) -> None:
    class Foundation(VectorFoundation):
        def learner(self, recipe: object, data: object = None) -> VectorLearner:
            learner = VectorLearner()
            learner.module = Puts(learner.module)
            return learner

    equipment = vector_equipment(tmp_path, resources={"deterministic": True})
    healthy, equipment.foundation = equipment.foundation, Foundation()
    before = flags()
    (record,) = run_trial(job(), equipment, no_heartbeat)
    assert record.status == "failed"
    assert record.reason is not None
    assert "put_ has no deterministic form" in record.reason
    assert "resources.deterministic: false" in record.reason
    assert flags() == before
    equipment.foundation = healthy
    (record,) = run_trial(TrialJob(name="0002-full", recipe=vector_recipe()), equipment, no_heartbeat)
    assert record.status == "ok"


def test_other_errors_pass_as_they_are() -> None:
    before = flags()
    with pytest.raises(RuntimeError, match="shapes") as found, deterministic(True):
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert not isinstance(found.value, TrainingError)
    assert flags() == before


def test_what_was_set_before_comes_back() -> None:
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with deterministic(True):
            assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("on", [False, True])
def test_the_record_says_whether_it_was_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: bool) -> None:
    monkeypatch.setattr(equipment_module, "prepare_foundation", lambda *_, **__: VectorFoundation())
    monkeypatch.setattr(equipment_module, "open_tasks", lambda *_, **__: {})
    space = vector_space(resources={"deterministic": on}, storage={"path": str(tmp_path)})
    info = SweepInfo(name="v", space_name="vectors", created=0.0, space_digest="")
    Sweep.create(Store.open(tmp_path), info, space_text="", space={})
    equipment = Equipment.open(EquipmentSpec(space=space, sweep_name="v"))
    (record,) = run_trial(job(), equipment, no_heartbeat)
    assert Sweep.open(Store.open(tmp_path), "v").record(record.trial, record.step).provenance["deterministic"] is on


def test_scores_of_theta_0_are_kept_apart(tmp_path: Path) -> None:
    equipments = [vector_equipment(tmp_path, resources={"deterministic": on}) for on in (False, True)]
    assert len({each._theta_0_key(each.scorer(None, "val"), "val").name for each in equipments}) == 2


def test_cublas_is_told_unless_the_user_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for found, kept in ((None, ":4096:8"), (":16:8", ":16:8")):
        monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
        device_of(vector_space(resources={"gpus_per_worker": 1}).resources, 0)
        assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
        if found is not None:
            monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", found)
        device_of(vector_space(resources={"gpus_per_worker": 1, "deterministic": True}).resources, 0)
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == kept
        monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
