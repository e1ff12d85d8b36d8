"""One trial and the scores on `test`: what is not finite or cannot be read costs only itself."""

import errno
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from train.learners import VectorLearner
from vector_equipment import VectorScorer, no_heartbeat, objectives_of, vector_equipment, vector_recipe

from rayforget.errors import RecordError, StorageError, TaskError, TrainingError
from rayforget.evaluate.finite import NotFinite, Scored
from rayforget.foundations.protocol import State
from rayforget.frontier.gather import gather
from rayforget.record.jobs import TestJob, TrialJob
from rayforget.record.weights import weights_name
from rayforget.space.recipe import Recipe
from rayforget.trial.alpha_models import Ends
from rayforget.trial.curve import score_curve
from rayforget.trial.equipment import Equipment
from rayforget.trial.pipeline import run_trial, score_test, score_tests
from rayforget.values.points import Spot
from rayforget.values.records import CheckpointRecord
from rayforget.values.scores import Score, Split

FAR = 1e30
"""So far beyond theta_1 that the scorer's numbers overflow."""


def job(name: str = "0001-full", **changed: Any) -> TrialJob:
    return replace(TrialJob(name=name, recipe=vector_recipe()), **changed)


def trained(equipment: Equipment, *names: str) -> list[CheckpointRecord]:
    return [
        run_trial(job(name, recipe=vector_recipe(seed=i)), equipment, no_heartbeat)[-1] for i, name in enumerate(names)
    ]


def test_a_trial_records_its_curve_with_both_ends(tmp_path: Path) -> None:
    equipment = vector_equipment(tmp_path)
    (record,) = run_trial(job(alpha=0.3), equipment, no_heartbeat)
    assert [(point.alpha, point.coarse) for point in record.points] == [
        (0.0, True), (0.3, False), (0.5, True), (1.0, True),
    ]  # fmt: skip
    assert "dropped_alphas" not in record.facts
    assert equipment.sweep.record("0001-full", record.step).facts == record.facts


def test_an_alpha_whose_scores_are_not_finite_is_dropped_and_noted(tmp_path: Path) -> None:
    equipment = vector_equipment(tmp_path, curve={"coarse": [-FAR, 0, 0.5, 1, FAR], "refine": 0})
    (record,) = run_trial(job(), equipment, no_heartbeat)
    assert record.status == "ok"
    assert [point.alpha for point in record.points] == [0.0, 0.5, 1.0]
    noted = [{"alpha": alpha, "tasks": {"s": 23, "g": 31}} for alpha in (-FAR, FAR)]
    assert equipment.sweep.record(record.trial, record.step).facts["dropped_alphas"] == noted
    assert {point.alpha for point in gather([record], equipment.roles).points} == {0.0, 0.5, 1.0}


def test_an_asked_alpha_that_is_dropped_is_no_point(tmp_path: Path) -> None:
    equipment = vector_equipment(tmp_path)
    (record,) = run_trial(job(alpha=FAR), equipment, no_heartbeat)
    assert [point.alpha for point in record.points] == [0.0, 0.5, 1.0]
    assert [each["alpha"] for each in record.facts["dropped_alphas"]] == [FAR]


def test_a_dropped_alpha_is_not_scored_again_by_the_refinement(tmp_path: Path) -> None:
    class Hole(VectorScorer):
        """Trades G for S as alpha, the first bias, grows; has no scores at 0.5."""

        def score(self, thetas: Sequence[State], split: Split) -> list[Scored]:
            self.asked.append(len(thetas))
            alphas = [float(theta["q_proj.bias"][0]) if theta else 0.0 for theta in thetas]
            return [NotFinite(items={"g": 3}) if alpha == 0.5 else self._traded(alpha) for alpha in alphas]

        def _traded(self, alpha: float) -> dict[str, Score]:
            shares = {"s": 0.4 + 0.4 * alpha, "g": 0.8 - 0.4 * alpha}
            return {task: Score(rule="", items=np.arange(50) < 50 * x, items_hash="") for task, x in shares.items()}

    scorer = Hole()
    equipment = vector_equipment(tmp_path, scorer=scorer, curve={"coarse": [0, 1], "refine": 6})
    ends = Ends(theta_0={"q_proj.bias": torch.zeros(7)}, theta_1={"q_proj.bias": torch.ones(7)}, layers={})
    curve = score_curve(ends, asked=None, frontier=(), scorer=scorer, equipment=equipment, seed=0)
    assert curve.facts == {"dropped_alphas": [{"alpha": 0.5, "tasks": {"g": 3}}]}
    assert [point.alpha for point in curve.points] == [0.0, 1.0]
    assert scorer.asked == [1, 1, 1]  # theta_1, theta_0, then 0.5; the gap that it leaves would ask for 0.5 again


@pytest.mark.parametrize("error", [TaskError("photo/1.png: cannot be read"), OSError(28, "No space left on device")])
def test_data_and_storage_that_fail_leave_the_training_unrecorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    equipment = vector_equipment(tmp_path)

    def fail(recipe: Recipe) -> VectorLearner:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(equipment.foundation, "learner", fail)
        with pytest.raises(type(error)):
            run_trial(job(), equipment, no_heartbeat)
    assert equipment.sweep.trials() == {}
    (record,) = run_trial(job(), equipment, no_heartbeat)
    assert record.status == "ok"


def test_a_sweep_goes_on_with_the_data_that_it_was_started_with(tmp_path: Path) -> None:
    vector_equipment(tmp_path).settle_theta_0()
    again = vector_equipment(tmp_path)
    again.settle_theta_0()
    assert again.theta_0_scores("val").keys() == {"s", "g"}
    assert again.foundation.scorer(None).asked == []  # type: ignore[attr-defined]


def test_a_sweep_whose_data_changed_is_refused(tmp_path: Path) -> None:
    class Changed(VectorScorer):
        """Has another item in `g`."""

        def items_by_task(self, split: Split) -> dict[str, str]:
            return {**super().items_by_task(split), "g": "others"}

    vector_equipment(tmp_path).settle_theta_0()
    with pytest.raises(RecordError, match=r"tasks.g.val does not hold the items that sweep v was started with"):
        vector_equipment(tmp_path, scorer=Changed()).settle_theta_0()


@pytest.mark.parametrize("said", ["runs_as", "identity"])
def test_a_sweep_whose_scorer_says_otherwise_how_weights_are_run_is_refused(tmp_path: Path, said: str) -> None:
    """Another package's scorer may have its identity alone."""

    def scorer(how: str) -> VectorScorer:
        made = VectorScorer()
        if said == "identity":
            del made.runs_as
        setattr(made, said, how)
        return made

    vector_equipment(tmp_path, scorer=scorer("1")).settle_theta_0()
    vector_equipment(tmp_path, scorer=scorer("1")).settle_theta_0()
    with pytest.raises(RecordError, match="the model of sweep v is run otherwise than when it was started"):
        vector_equipment(tmp_path, scorer=scorer("2")).settle_theta_0()


class _Preprocessed(VectorScorer):
    """Runs weights that do not say how, and answers some items of `g` in another way."""

    def __init__(self, how: str, others: int = 0) -> None:
        super().__init__()
        self.identity, self._others = how, others
        self._how = how

    def facts(self, split: Split) -> dict[str, Any]:
        return {"runs_with": self._how}

    def score(self, thetas: Sequence[State], split: Split) -> list[Scored]:
        found = super().score(thetas, split)
        for scores in found:
            scores["g"].items[: self._others] ^= True  # type: ignore[union-attr]
        return found


def test_a_sweep_whose_weights_are_run_otherwise_is_refused(tmp_path: Path) -> None:
    vector_equipment(tmp_path, scorer=_Preprocessed("GELU")).settle_theta_0()
    assert vector_equipment(tmp_path).sweep.record("theta_0", 0).facts["runs_with"] == "GELU"
    vector_equipment(tmp_path, scorer=_Preprocessed("GELU", others=9)).settle_theta_0()
    with pytest.raises(RecordError, match="started with weights that ran with GELU, and now run with QuickGELU"):
        vector_equipment(tmp_path, scorer=_Preprocessed("QuickGELU")).settle_theta_0()


def test_a_sweep_that_did_not_note_how_its_weights_ran_is_compared_by_their_answers(tmp_path: Path) -> None:
    vector_equipment(tmp_path).settle_theta_0()
    vector_equipment(tmp_path, scorer=_Preprocessed("GELU")).settle_theta_0()
    with pytest.raises(RecordError, match=r"answers 2 of 31 items of tasks\.g\.val in another way now, with QuickGELU"):
        vector_equipment(tmp_path, scorer=_Preprocessed("QuickGELU", others=2)).settle_theta_0()


def test_what_was_left_out_is_noted_with_theta_0_and_with_the_scores_on_test(tmp_path: Path) -> None:
    class Lossy(VectorScorer):
        """Could not read one item of each split."""

        def facts(self, split: Split) -> dict[str, Any]:
            return {"broken": {"g": [f"{split}.png"]}}

    equipment = vector_equipment(tmp_path, scorer=Lossy())
    equipment.settle_theta_0()
    assert equipment.sweep.record("theta_0", 0).facts["broken"] == {"g": ["val.png"]}
    score_test(TestJob(trial="theta_0", step=0, spots=(Spot(0.0),)), equipment, no_heartbeat)
    (tested,) = equipment.sweep.tests()
    assert tested.facts == {"broken": {"g": ["test.png"]}}


def test_a_second_worker_on_a_trial_leaves_the_firsts_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    equipment = vector_equipment(tmp_path)
    (first,) = run_trial(job(), equipment, no_heartbeat)
    weights = equipment.sweep.store.read(weights_name(first.trial, first.step))
    with monkeypatch.context() as late:
        late.setattr(equipment.sweep, "trials", dict)  # it began before the first had written
        run_trial(job(recipe=vector_recipe(seed=5)), equipment, no_heartbeat)
    assert equipment.sweep.record(first.trial, first.step).theta_1_hash == first.theta_1_hash
    assert equipment.sweep.store.read(weights_name(first.trial, first.step)) == weights


@pytest.mark.parametrize("strict", ["theta_1", "every alpha"])
def test_a_trial_fails_when_theta_1_has_no_scores(tmp_path: Path, strict: str) -> None:
    coarse = [0, 1] if strict == "every alpha" else [0, 1e-30, 1]
    equipment = vector_equipment(tmp_path, curve={"coarse": coarse, "refine": 0})
    theta_0 = dict(equipment.foundation.theta_0)
    theta_1 = {name: torch.full_like(tensor, 3e38) for name, tensor in theta_0.items()}
    with pytest.raises(TrainingError, match=r"theta_1 gives .* not finite on val \(items: 23 of s, 31 of g\); its we"):
        score_curve(
            Ends(theta_0=theta_0, theta_1=theta_1, layers={}),
            asked=None,
            frontier=(),
            scorer=equipment.foundation.scorer(None),
            equipment=equipment,
            seed=0,
        )


def test_refined_alphas_are_those_that_the_recorded_curve_promises(tmp_path: Path) -> None:
    """The refinement saw the recorded points and their objectives."""
    equipment = vector_equipment(tmp_path, curve={"coarse": [0, 0.5, 1], "refine": 3})
    (record,) = run_trial(job(recipe=vector_recipe(learning_rate=0.1)), equipment, no_heartbeat)
    assert {0.0, 0.5, 1.0} < {point.alpha for point in record.points}
    for point in record.points:
        assert equipment.objectives(point.scores) == pytest.approx(objectives_of(point.scores))


def test_a_damaged_weights_file_costs_its_own_part_alone(tmp_path: Path) -> None:
    equipment = vector_equipment(tmp_path)
    equipment.settle_theta_0()
    records = trained(equipment, "0001-full", "0002-full", "0003-full")
    damaged = tmp_path / "v" / "weights" / f"{records[1].key}.safetensors"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    jobs = [
        TestJob(trial="theta_0", step=0, spots=(Spot(0.0),)),
        *(TestJob(trial=record.trial, step=record.step, spots=(Spot(0.5), Spot(1.0))) for record in records),
    ]
    with pytest.raises(RecordError) as caught:
        score_tests(jobs, equipment, no_heartbeat)
    assert str(caught.value).startswith("1 of 4 checkpoints could not be scored on test; all others of this job are ")
    assert f"0002-full step {records[1].step}: " in str(caught.value)
    assert "damaged" in str(caught.value)
    tested = equipment.sweep.test_scores().keys()
    assert {key.trial for key in tested} == {"theta_0", "0001-full", "0003-full"}

    damaged.write_bytes(whole)
    equipment.foundation.scorer(None).asked.clear()  # type: ignore[attr-defined]
    assert score_tests(jobs, equipment, no_heartbeat) == 2
    assert equipment.foundation.scorer(None).asked == [2]  # type: ignore[attr-defined]
    assert len(equipment.sweep.test_scores()) == 7
    assert score_tests(jobs, equipment, no_heartbeat) == 0


def test_missing_weights_are_named_with_every_other_part_scored(tmp_path: Path) -> None:
    equipment = vector_equipment(tmp_path)
    records = trained(equipment, "0001-full", "0002-full", "0003-full")
    for record in records[::2]:
        equipment.sweep.drop_weights(record.trial, record.step)
    jobs = [TestJob(trial=record.trial, step=record.step, spots=(Spot(1.0),)) for record in records]
    with pytest.raises(RecordError, match=r"2 of 3 checkpoints(.|\n)*0001-full step(.|\n)*0003-full step"):
        score_tests(jobs, equipment, no_heartbeat)
    assert [key.trial for key in equipment.sweep.test_scores()] == ["0002-full"]


def test_a_full_disk_ends_the_scoring_on_the_rank_that_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    equipment = vector_equipment(tmp_path)
    (record,) = trained(equipment, "0001-full")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"^\S+/test/\S+ cannot be written \(No space left on device\)"):
        score_tests([TestJob(trial=record.trial, step=record.step, spots=(Spot(1.0),))], equipment, no_heartbeat)


def test_only_the_alphas_without_a_score_are_scored(tmp_path: Path) -> None:
    equipment = vector_equipment(tmp_path)
    (record,) = trained(equipment, "0001-full")
    score_test(TestJob(trial=record.trial, step=record.step, spots=(Spot(0.5),)), equipment, no_heartbeat)
    whole = TestJob(trial=record.trial, step=record.step, spots=(Spot(0.5), Spot(1.0)))
    assert score_tests([whole], equipment, no_heartbeat) == 1
    assert sorted(key.alpha for key in equipment.sweep.test_scores()) == [0.5, 1.0]


def test_a_point_that_is_not_finite_on_test_is_an_error_and_its_neighbours_are_recorded(tmp_path: Path) -> None:
    equipment = vector_equipment(tmp_path)
    (record,) = trained(equipment, "0001-full")
    with pytest.raises(RecordError, match=r"alpha = 1e\+30 gives outputs that are not finite on test"):
        score_tests(
            [TestJob(trial=record.trial, step=record.step, spots=(Spot(1.0), Spot(FAR)))], equipment, no_heartbeat
        )
    (scores,) = equipment.sweep.test_scores().values()
    assert np.isfinite(scores["s"].value)
