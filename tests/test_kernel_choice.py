"""The kernels that trainings use on a card are chosen once for a sweep, and everybody obeys."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_lm import save_lm
from vector_equipment import VectorFoundation, no_heartbeat, vector_equipment, vector_recipe

from rayforget.card import card_of, driver_in, leaves_allocator_to_us
from rayforget.errors import RecordError
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.learner import CausalLearner
from rayforget.foundations.causal_lm.model import load_causal_lm
from rayforget.foundations.causal_lm.prepared import with_tasks
from rayforget.record.jobs import TrialJob
from rayforget.space.recipe import Recipe
from rayforget.space.tasks.text import InstructionTask, JsonLinesSource, Sequences
from rayforget.tasks.text.resolve import resolve_text_tasks
from rayforget.train.loop import train
from rayforget.trial.kernel_choice import settle_kernels
from rayforget.trial.pipeline import run_trial

CPU = torch.device("cpu")
CARD = {"card": "A card 5/80", "driver": "570.86.15", "torch": "2.15", "cuda": "13.2"}


class Choosing(VectorFoundation):
    """Measures something else each time."""

    def __init__(self, kernel: str) -> None:
        super().__init__()
        self.kernel, self.used, self.asked = kernel, None, 0

    def choose_kernels(self, *, repeatable: bool) -> dict[str, Any]:
        self.asked += 1
        return {"kernel": self.kernel, "repeatable": repeatable}

    def use_kernels(self, chosen: Any) -> None:
        self.used = chosen["kernel"]


def settled(tmp_path: Path, kernel: str, **card: str) -> Choosing:
    foundation = Choosing(kernel)
    sweep = vector_equipment(tmp_path).sweep
    settle_kernels(foundation, sweep, {**CARD, **card}, CPU, repeatable=True)
    return foundation


def test_the_first_choice_on_a_card_is_everybodys(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = settled(tmp_path, "a"), settled(tmp_path, "b")
    assert (first.used, second.used, second.asked) == ("a", "a", 0)
    assert (tmp_path / "v" / "kernels" / "A-card-5-80.json").is_file()
    assert settled(tmp_path, "c", card="Another").used == "c"
    assert not caplog.records
    assert settled(tmp_path, "d", driver="999.1").used == "a"  # said, and obeyed
    assert "driver 570.86.15, now 999.1" in caplog.text


def test_a_sweep_whose_trainings_are_older_than_the_choice_goes_on_as_before(tmp_path: Path) -> None:
    equipment = vector_equipment(tmp_path)
    run_trial(TrialJob(name="0001-full", recipe=vector_recipe()), equipment, no_heartbeat)
    found = settled(tmp_path, "a")
    assert (found.used, found.asked) == (None, 0)


def test_a_damaged_choice_is_named(tmp_path: Path) -> None:
    settled(tmp_path, "a")
    path = tmp_path / "v" / "kernels" / "A-card-5-80.json"
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b'"a"', b'"b"'))
    with pytest.raises(RecordError, match=r"A-card-5-80.json is damaged"):
        settled(tmp_path, "a")


def test_a_cpu_chooses_nothing(tmp_path: Path) -> None:
    assert card_of(CPU) is None
    foundation = Choosing("a")
    settle_kernels(foundation, vector_equipment(tmp_path).sweep, card_of(CPU), CPU, repeatable=False)
    assert (foundation.used, foundation.asked) == (None, 0)
    assert not (tmp_path / "v" / "kernels").exists()


def test_recipes_in_half_precision_obey_and_fp32_keeps_dense_masks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    model = load_causal_lm(CausalLmFoundation(kind="causal_lm", model=str(save_lm(tmp_path, "opt"))), CPU)
    foundation = with_tasks(model, Sequences(), _tasks(tmp_path), cache=tmp_path, batch_tokens=64)
    chosen = foundation.choose_kernels(repeatable=True)
    assert chosen["kernel"] is None  # flash attention runs on no CPU
    assert chosen["measured"]["dense"]["seconds"] > 0
    facts = {}
    for precision in ("fp32", "bf16"):
        for kernel in (None, "plain"):
            foundation.use_kernels({"kernel": kernel, "sizes_repeat": True})
            learner = foundation.learner(_recipe(precision))
            assert isinstance(learner, CausalLearner)
            (record,) = train(learner, _recipe(precision), seed=0, fractions=(1.0,))
            facts[precision, kernel] = (learner.sizes_repeat, record.facts.get("kernel"), record.facts.get("padding"))
    assert facts["fp32", None] == facts["fp32", "plain"] == (False, None, None)
    assert facts["bf16", None] == (True, "dense", None)
    assert facts["bf16", "plain"][:2] == (True, "plain")
    assert 0 < facts["bf16", "plain"][2] < 1


def _recipe(precision: str) -> Recipe:
    return Recipe.model_validate(
        {"method": "m", "learning_rate": 1e-3, "epochs": 1, "batch_size": 2, "seed": 0, "precision": precision}
    )


def _tasks(tmp_path: Path) -> Any:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"instruction": "a " * n, "output": "dog"}) + "\n" for n in (1, 2, 3, 20)))
    source = JsonLinesSource(kind="jsonl", path=path)
    return resolve_text_tasks({"s": InstructionTask(kind="instruction", role="speciality", train=source)})


def test_the_allocator_is_the_users_if_he_has_set_it() -> None:
    assert leaves_allocator_to_us({"PATH": "x", "PYTORCH_ALLOC_CONF": ""})
    assert not leaves_allocator_to_us({"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:128"})


def test_the_drivers_version_is_read_in_its_own_words() -> None:
    line = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (x@y)  Thu Jan 2 2025\n"
    assert driver_in(f"{line}GCC version:  gcc version 12.3.0") == "570.86.15"
    assert driver_in("?") == "unknown"
