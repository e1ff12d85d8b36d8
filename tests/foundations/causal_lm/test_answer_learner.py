"""A learner over a task's split is taught what scoring calls right, token by token."""

import json
from collections.abc import Mapping
from math import log
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from lm_eval_data import split_of, write
from tiny_language import tiny_language_model

from rayforget.errors import FoundationError, TaskError
from rayforget.foundations.causal_lm.prepared import PreparedCausalLm, with_tasks
from rayforget.foundations.protocol import Batch, Learner
from rayforget.space.recipe import Recipe
from rayforget.space.tasks.lm_eval import LmEvalCut, LmEvalTask
from rayforget.space.tasks.text import InstructionTask, JsonLinesSource, MultipleChoiceTask, PlainTextTask, Sequences
from rayforget.tasks.text.resolve import resolve_text_tasks

RECIPE = Recipe(method="m", learning_rate=1e-3, epochs=1, batch_size=2, seed=0)
CPU = torch.device("cpu")


def source(folder: Path, name: str, rows: list[dict[str, Any]]) -> JsonLinesSource:
    path = folder / f"{name}.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return JsonLinesSource(kind="jsonl", path=path)


def own_tasks(folder: Path) -> dict[str, Any]:
    choices = [
        {"question": f"Which is {i}?" + " why" * i, "choices": ["a cat", "the red dog", "it"], "answer": (i + 1) % 3}
        for i in range(4)
    ]
    said = [{"instruction": "Say it.", "output": "one two " * (i + 1)} for i in range(4)]
    texts = [{"text": f"A cat and {i} dogs sat on the mat. " * (1 + 3 * i)} for i in range(4)]

    def splits(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
        parts = {"train": rows[:2], "val": rows[2:3], "test": rows[3:]}
        return {split: source(folder, f"{name}-{split}", part) for split, part in parts.items()}

    return {
        "choice": MultipleChoiceTask(
            kind="multiple_choice", role="speciality", metric="likelihood", **splits("choice", choices)
        ),
        "said": InstructionTask(kind="instruction", role="speciality", **splits("said", said)),
        "text": PlainTextTask(kind="text", role="speciality", **splits("text", texts)),
    }


def prepared_with(folder: Path, tasks: Mapping[str, Any], *, positions: int = 64, **settings: Any) -> PreparedCausalLm:
    model = tiny_language_model(positions=positions)
    resolved = resolve_text_tasks(tasks)
    return with_tasks(model, Sequences(**settings), resolved, cache=folder / "cache", batch_tokens=256)


def batch_of(learner: Learner, *items: int) -> Batch:
    return learner.batch(torch.tensor(items), torch.Generator())


@torch.no_grad()
def loss_of(learner: Learner, *items: int) -> float:
    batch = batch_of(learner, *items)
    learner.module.eval()  # these small models have dropout; loaded ones have none
    logits = learner.module(features=learner.module(**batch.inputs))
    return float(F.cross_entropy(logits.double(), batch.targets, reduction="sum"))


@pytest.mark.parametrize("positions", [64, 12])
@pytest.mark.parametrize("split", ["val", "test"])
def test_its_loss_is_the_likelihood_that_scoring_finds(tmp_path: Path, positions: int, split: Any) -> None:
    """An item's bits per byte times its bytes and ln 2; short positions cut prompts and put texts into windows."""
    prepared = prepared_with(tmp_path, own_tasks(tmp_path), positions=positions)
    (scores,) = prepared.scorer(None).score([{}], split)
    for name in ("choice", "said", "text"):
        learner = prepared.learner(RECIPE, (name, split))
        assert learner.num_items == 1
        score = scores[name]  # type: ignore[index]
        assert score.weights is not None
        expected = float(score.items[0]) * float(score.weights[0]) * log(2)
        assert loss_of(learner, 0) == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize("name", ["arc_easy", "winogrande", "pubmedqa", "lambada_openai", "wikitext"])
def test_an_lm_eval_tasks_right_answer_is_taken_where_it_has_one(tmp_path: Path, name: str) -> None:
    tasks = own_tasks(tmp_path) | {"g": lm_eval_task(write(tmp_path, name), name, "likelihood")}
    prepared = prepared_with(tmp_path, tasks, positions=256)
    (scores,) = prepared.scorer(None).score([{}], "val")
    score = scores["g"]  # type: ignore[index]
    learner = prepared.learner(RECIPE, ("g", "val"))
    assert learner.num_items == len(score.items) > 1
    for item in range(learner.num_items):
        expected = float(score.items[item]) * float(score.weights[item]) * log(2)  # type: ignore[index]
        assert loss_of(learner, item) == pytest.approx(expected, rel=2e-5)


def lm_eval_task(path: Path, name: str, metric: str) -> LmEvalTask:
    split = split_of(name)
    cut = LmEvalCut(split=split)
    return LmEvalTask(
        kind="lm_eval", role="generality", group="g", task=name, metric=metric, data_files={split: path}, cut=cut
    )


def test_a_batch_of_items_has_each_items_loss(tmp_path: Path) -> None:
    tasks = {"g": lm_eval_task(write(tmp_path, "arc_easy"), "arc_easy", "acc")} | own_tasks(tmp_path)
    learner = prepared_with(tmp_path, tasks, positions=256).learner(RECIPE, ("g", "val"))
    alone = [loss_of(learner, item) for item in range(learner.num_items)]
    assert loss_of(learner, *range(learner.num_items)) == pytest.approx(sum(alone), rel=1e-5)


@pytest.mark.parametrize("name", ["choice", "said", "text"])
def test_of_train_the_training_sequences_are_taken_each_in_a_row_of_its_own(tmp_path: Path, name: str) -> None:
    prepared = prepared_with(tmp_path, own_tasks(tmp_path))
    alone = prepared_with(tmp_path, {name: own_tasks(tmp_path)[name]})
    learner, trained = prepared.learner(RECIPE, (name, "train")), alone.learner(RECIPE)
    assert trained.facts["packing"] == 1
    assert (learner.num_items, learner.facts["packing"]) == (trained.num_items, 0)
    for item in range(learner.num_items):
        found, expected = batch_of(learner, item), batch_of(trained, item)
        assert torch.equal(found.targets, expected.targets)
        assert torch.equal(found.inputs["tokens"], expected.inputs["tokens"])
    assert "mask" not in batch_of(learner, *range(learner.num_items)).inputs
    assert learner.data_hash == trained.data_hash


def test_weights_have_the_names_of_the_training(tmp_path: Path) -> None:
    prepared = prepared_with(tmp_path, own_tasks(tmp_path))
    learner, trained = prepared.learner(RECIPE, ("choice", "val")), prepared.learner(RECIPE)
    names = [dict(each.module.named_parameters()).keys() for each in (learner, trained)]
    assert names[0] == names[1]
    weights = dict(learner.module.named_parameters())
    assert all(torch.equal(value, prepared.theta_0[name]) for name, value in learner.canonical(weights).items())


def test_other_items_have_another_hash(tmp_path: Path) -> None:
    prepared = prepared_with(tmp_path, own_tasks(tmp_path))
    chosen = [(name, split) for name in ("choice", "said", "text") for split in ("train", "val", "test")]
    hashes = [prepared.learner(RECIPE, each).data_hash for each in chosen]  # type: ignore[arg-type]
    assert len(set(hashes)) == len(chosen)
    assert prepared.learner(RECIPE, ("choice", "val")).data_hash == hashes[1]


def test_generated_answers_cannot_be_taught(tmp_path: Path) -> None:
    path = write(tmp_path, "arc_challenge_chat")
    tasks = own_tasks(tmp_path) | {"g": lm_eval_task(path, "arc_challenge_chat", "exact_match")}
    prepared = prepared_with(tmp_path, tasks, positions=2048)
    with pytest.raises(TaskError, match=r"^tasks\.g: its answers are generated and then judged"):
        prepared.learner(RECIPE, ("g", "val"))


@pytest.mark.parametrize("data", [("none", "val"), ("said", "train")])
def test_a_split_that_is_not_there_is_named_with_those_that_are(tmp_path: Path, data: Any) -> None:
    tasks = own_tasks(tmp_path)
    tasks["said"] = tasks["said"].model_copy(update={"train": None})
    with pytest.raises(FoundationError, match=r"no task '\w+' with \w+; there are: choice \(train, val, test\), said"):
        prepared_with(tmp_path, tasks).learner(RECIPE, data)
