"""In which precision a sweep scores: chosen once, recorded, obeyed by every slot and resume, never mixed."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from vector_equipment import VectorScorer, no_heartbeat, vector_equipment, vector_recipe, vector_space

from rayforget.errors import RecordError, TrainingError
from rayforget.evaluate.finite import NotFinite, Scored
from rayforget.evaluate.precision import current_precision, exactly, finely, run_in
from rayforget.foundations.protocol import State
from rayforget.frontier.points import THETA_0, TaskRole
from rayforget.record.jobs import TestJob, TrialJob
from rayforget.report.words.precision import precision_words
from rayforget.space.precision import CHOICE, PRECISION, ScoringPrecision, precision_in
from rayforget.trial.equipment import Equipment
from rayforget.trial.pipeline import run_trial, score_test
from rayforget.trial.precise import in_precision
from rayforget.trial.precision_choice import Measured, choose_precision, deviation
from rayforget.values.points import Spot
from rayforget.values.scores import Score, Split

CPU = torch.device("cpu")
GPUS = {"gpus_per_worker": 1}
ROLES = (TaskRole(name="s", role="speciality", group=""), TaskRole(name="g", role="generality", group="d"))


class Timed(VectorScorer):
    """Takes its time unless it is run in `fast`; in fp32 its answers are the vectors', in `odd` some are others."""

    def __init__(self, fast: ScoringPrecision, odd: ScoringPrecision | None = None) -> None:
        super().__init__()
        self.fast, self.odd, self.precisions = fast, odd, list[str]()

    def score(self, thetas: Sequence[State], split: Split) -> list[Scored]:
        precision = current_precision()
        self.precisions.append(precision)
        time.sleep(0.0 if precision == self.fast else 0.03)
        with exactly(CPU):
            found = super().score(thetas, split)
        return [_turned(each) for each in found] if precision == self.odd else found


def _turned(scored: Scored) -> Scored:
    assert not isinstance(scored, NotFinite)
    return {name: replace(score, items=np.append(~score.items[:5], score.items[5:])) for name, score in scored.items()}


def job(name: str = "0001-full", seed: int = 0) -> TrialJob:
    return TrialJob(name=name, recipe=vector_recipe(seed=seed))


def points_precision(equipment: Equipment) -> dict[str, str]:
    return {record.trial: precision_in(record.provenance) for record in equipment.sweep.records()}


def test_the_fastest_precision_that_changes_nothing_is_chosen_after_the_first_training_and_binds_the_sweep(
    tmp_path: Path,
) -> None:
    equipment = vector_equipment(tmp_path, scorer=Timed("bf16"), resources=GPUS)
    equipment.settle_theta_0()
    assert equipment.precision is None
    assert equipment.sweep.trials() == {}, "theta_0 has no point before its precision is chosen"
    run_trial(job(), equipment, no_heartbeat)
    assert points_precision(equipment) == {THETA_0: "bf16", "0001-full": "bf16"}
    choice = equipment.sweep.record(THETA_0, 0).facts[CHOICE]
    assert choice["precision"] == "bf16"
    assert choice["standard_errors"] == {"tf32": 0.0, "fp16": 0.0, "bf16": 0.0}
    assert "in bf16" in (precision_words(equipment.sweep.briefs()) or "")

    for later in (Timed("tf32"), Timed("fp16", odd="bf16")):  # another slot, a resume: each would choose otherwise
        other = vector_equipment(tmp_path, scorer=later, resources=GPUS)
        other.settle_theta_0()
        run_trial(job(f"000{2 + len(other.sweep.trials())}-full", seed=5), other, no_heartbeat)
        assert set(later.precisions) == {"bf16"}
    assert set(points_precision(equipment).values()) == {"bf16"}


def test_a_slot_that_trains_meanwhile_takes_what_the_first_one_chose(tmp_path: Path) -> None:
    slots = [vector_equipment(tmp_path, scorer=Timed(fast), resources=GPUS) for fast in ("fp16", "bf16")]
    for slot in slots:
        slot.settle_theta_0()
    for number, slot in enumerate(slots):
        run_trial(job(f"{number:04d}-full", seed=number), slot, no_heartbeat)
    assert [slot.precision for slot in slots] == ["fp16", "fp16"]
    assert set(points_precision(slots[0]).values()) == {"fp16"}


def test_a_choice_made_at_the_same_time_loses_to_the_one_that_was_written_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (vector_equipment(tmp_path, scorer=Timed(fast), resources=GPUS) for fast in ("fp16", "bf16"))
    choose = Equipment._choose_precision

    def choose_late(self: Equipment, recipe: Any, theta_1: State) -> Any:
        choice = choose(self, recipe, theta_1)
        if self is second:
            run_trial(job("0000-full"), first, no_heartbeat)
        return choice

    monkeypatch.setattr(Equipment, "_choose_precision", choose_late)
    run_trial(job("0001-full", seed=1), second, no_heartbeat)
    assert points_precision(second) == {THETA_0: "fp16", "0000-full": "fp16", "0001-full": "fp16"}


def test_a_precision_that_changes_answers_is_not_taken_however_fast(tmp_path: Path) -> None:
    equipment = vector_equipment(tmp_path, scorer=Timed("fp16", odd="fp16"), resources=GPUS)
    run_trial(job(), equipment, no_heartbeat)
    choice = equipment.sweep.record(THETA_0, 0).facts[CHOICE]
    assert choice["precision"] != "fp16"
    assert choice["standard_errors"]["fp16"] > 0.1


class Failing(Timed):
    """Does not run in fp16, or overflows in it."""

    def __init__(self, fast: ScoringPrecision, *, raises: bool) -> None:
        super().__init__(fast)
        self.raises = raises

    def score(self, thetas: Sequence[State], split: Split) -> list[Scored]:
        found = super().score(thetas, split)
        if current_precision() != "fp16":
            return found
        if self.raises:
            raise RuntimeError("expected Half but found Float")
        return [NotFinite(items={"s": 1}) for _ in found]


def test_a_precision_in_which_the_model_does_not_run_is_not_taken_and_ends_no_training(tmp_path: Path) -> None:
    equipment = vector_equipment(tmp_path, scorer=Failing("fp16", raises=True), resources=GPUS)
    run_trial(job(), equipment, no_heartbeat)
    choice = equipment.sweep.record(THETA_0, 0).facts[CHOICE]
    assert choice["precision"] != "fp16"
    assert choice["standard_errors"]["fp16"] is None


def test_what_overflows_in_fp16_is_scored_in_fp32() -> None:
    scorer = Failing("fp16", raises=False)
    (found,) = in_precision(scorer, "fp16", CPU).score([{}], "val")
    assert not isinstance(found, NotFinite)
    assert scorer.precisions == ["fp16", "fp32"]


def test_if_theta_0s_record_is_gone_the_others_still_bind(tmp_path: Path) -> None:
    equipment = vector_equipment(tmp_path, scorer=Timed("bf16"), resources=GPUS)
    run_trial(job(), equipment, no_heartbeat)
    equipment.sweep.store.delete(f"points/{THETA_0}-000000.json")
    again = vector_equipment(tmp_path, scorer=Timed("fp16"), resources=GPUS)
    again.settle_theta_0()
    assert again.precision == "bf16"
    assert points_precision(again)[THETA_0] == "bf16"


def test_a_sweep_without_a_noted_precision_was_scored_in_fp32_and_goes_on_so(tmp_path: Path) -> None:
    vector_equipment(tmp_path).settle_theta_0()
    record = vector_equipment(tmp_path).sweep.record(THETA_0, 0)
    assert PRECISION not in record.provenance
    assert CHOICE not in record.facts
    on_gpus = vector_equipment(tmp_path, resources=GPUS)
    on_gpus.settle_theta_0()
    assert on_gpus.precision == "fp32"
    with pytest.raises(RecordError, match=r"were scored in fp32, .* is bf16, .*; write fp32, or start another sweep"):
        vector_equipment(tmp_path, resources={"evaluation_precision": "bf16"}).settle_theta_0()


def test_a_written_precision_is_taken_at_once_on_val_alone_and_keeps_its_own_cache(tmp_path: Path) -> None:
    scorer = Timed("bf16")
    equipment = vector_equipment(tmp_path, scorer=scorer, resources={"evaluation_precision": "bf16"})
    equipment.settle_theta_0()
    (record,) = run_trial(job(), equipment, no_heartbeat)
    assert set(scorer.precisions) == {"bf16"}
    assert points_precision(equipment) == {THETA_0: "bf16", "0001-full": "bf16"}
    tested = score_test(TestJob(trial=record.trial, step=record.step, spots=(Spot(1.0),)), equipment, no_heartbeat)
    assert scorer.precisions[-1] == "fp32"
    assert precision_in(tested.provenance) == "fp32"
    other = vector_equipment(tmp_path, scorer=scorer, resources={"test_precision": "fp16"})
    tested = score_test(TestJob(trial=record.trial, step=record.step, spots=(Spot(1.0),)), other, no_heartbeat)
    assert precision_in(tested.provenance) == "fp16" == scorer.precisions[-1]
    scorer.precisions.clear()
    vector_equipment(tmp_path / "x", scorer=scorer).theta_0_scores("val")
    fp32 = vector_equipment(tmp_path, scorer=scorer)
    fp32.theta_0_scores("val")
    assert scorer.precisions == ["fp32", "fp32"], "theta_0's scores in bf16 are not those in fp32"


def test_on_a_cpu_auto_is_fp32_and_says_nothing(tmp_path: Path) -> None:
    scorer = Timed("bf16")
    equipment = vector_equipment(tmp_path, scorer=scorer)
    equipment.settle_theta_0()
    run_trial(job(), equipment, no_heartbeat)
    assert set(scorer.precisions) == {"fp32"}
    assert precision_words(equipment.sweep.briefs()) is None
    assert equipment.scorer(None, "val") is scorer


@pytest.mark.parametrize("field", ["evaluation_precision", "test_precision"])
def test_tf32_on_a_cpu_would_have_no_effect_and_is_refused(field: str) -> None:
    with pytest.raises(ValidationError, match="found tf32 with gpus_per_worker: 0; only GPUs have it"):
        vector_space(resources={field: "tf32"})


def score(items: Sequence[float] | np.ndarray[Any, Any], rule: str = "accuracy", **more: Any) -> Score:
    return Score(rule=rule, items=np.asarray(items), items_hash="x", **more)


def pair(s: np.ndarray[Any, Any], g: np.ndarray[Any, Any]) -> dict[str, Score]:
    return {"s": score(s), "g": score(g)}


def test_the_deviation_is_the_share_of_changed_items_and_the_shift_over_the_standard_error() -> None:
    s, g = np.arange(100) < 64, np.arange(400) < 200
    turned = s.copy()
    turned[[0, 1, 99]] ^= True  # two are lost, one is won
    found = deviation(pair(s, g), pair(turned, g), ROLES)
    error = np.sqrt(0.64 * 0.36 / 100)
    assert found.changed == (pytest.approx(0.03 / error, rel=0.02), 0.0)
    assert found.shift == (pytest.approx(-0.01 / error, rel=0.02), 0.0)
    assert found.largest == found.changed[0]


def test_likelihoods_all_move_and_count_as_changed_only_if_they_move_noticeably() -> None:
    bits = np.random.default_rng(0).normal(3, 1, 50).astype(np.float32)

    def of(moved: Mapping[int, float]) -> dict[str, Score]:
        others = bits + np.float32(1e-4)
        for place, by in moved.items():
            others[place] += by
        own = score(others, rule="bits_per_byte", weights=np.ones(50, np.float32))
        return {"s": score(np.arange(50) < 20), "g": own}

    assert deviation(of({}), of({}), ROLES).largest == 0.0
    assert deviation(of({}), of({3: 1e-3}), ROLES).changed == (0.0, 0.0)
    assert deviation(of({}), of({3: 0.1}), ROLES).changed[1] > 0


@pytest.mark.parametrize(
    ("seconds", "flips", "expected"),
    [
        ({"fp32": 6, "tf32": 2, "fp16": 1, "bf16": 1.5}, {"tf32": 0, "fp16": 0, "bf16": 0}, "fp16"),
        ({"fp32": 6, "tf32": 2, "fp16": 1, "bf16": 1.5}, {"tf32": 0, "fp16": 9, "bf16": 9}, "tf32"),
        ({"fp32": 6, "tf32": 2, "fp16": 1, "bf16": 1.5}, {"tf32": 9, "fp16": 9, "bf16": 9}, "fp32"),
        ({"fp32": 1, "tf32": 2, "fp16": 3, "bf16": 1.5}, {"tf32": 0, "fp16": 0, "bf16": 0}, "fp32"),
        ({"fp32": 6, "tf32": 2, "fp16": 1, "bf16": 1.5}, {"tf32": 0, "fp16": None, "bf16": 0}, "bf16"),
    ],
)
def test_the_fastest_of_those_that_pass_is_chosen(
    seconds: Mapping[str, float], flips: Mapping[str, int | None], expected: str
) -> None:
    right = np.arange(1000) < 500

    def measure(precision: ScoringPrecision) -> Measured:
        count = {"fp32": 0, **flips}[precision]
        exact = pair(right, right)
        own: Scored = NotFinite(items={"s": 1}) if count is None else pair(right ^ (np.arange(1000) < count), right)
        return Measured(theta_0=exact, theta_1=own, seconds=seconds[precision])

    choice = choose_precision(measure, ROLES)
    assert choice.precision == expected
    assert (choice.deviations["fp16"] is None) == (flips["fp16"] is None)


def test_a_model_without_scores_in_fp32_chooses_nothing() -> None:
    right = pair(np.arange(9) < 5, np.arange(9) < 5)
    with pytest.raises(TrainingError, match="theta_1 gives outputs that are not finite"):
        choose_precision(lambda _: Measured(theta_0=right, theta_1=NotFinite(items={"s": 1}), seconds=1.0), ROLES)


def test_products_are_rounded_within_a_precision_and_not_where_it_is_left() -> None:
    a, b = torch.randn(5, 7), torch.randn(7, 3)

    def product() -> Tensor:
        with finely(CPU):
            fine = a @ b
        assert torch.equal(fine, exact)
        return a @ b

    exact = a @ b
    assert product().dtype == torch.float32
    for precision, kind in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        with run_in(precision, CPU):
            assert product().dtype == kind
            with exactly(CPU):
                assert current_precision() == "fp32"
                assert torch.equal(product(), exact)
            assert current_precision() == precision
    before = torch.backends.cuda.matmul.allow_tf32
    with run_in("tf32", CPU):
        assert torch.backends.cuda.matmul.allow_tf32
        with exactly(CPU):
            assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cuda.matmul.allow_tf32 == before


def test_a_precision_is_part_of_a_scorers_identity_and_not_of_how_its_model_runs() -> None:
    scorer = VectorScorer()
    kinds = [in_precision(scorer, each, CPU) for each in ("fp32", "tf32", "bf16", "fp16")]
    assert kinds[0] is scorer
    assert len({each.identity for each in kinds}) == 4
    assert {each.runs_as for each in kinds} == {"as vectors"}
