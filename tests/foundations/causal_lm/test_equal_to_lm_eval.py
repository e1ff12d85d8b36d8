"""A declared lm-eval task has item by item the result that `lm_eval.simple_evaluate` gives it."""

import copy
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
import yaml
from chat_templates import TEMPLATES
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from lm_eval_data import DOCUMENTS
from tiny_language import tiny_language_model

from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.model import CausalLm, load_causal_lm
from rayforget.foundations.causal_lm.scoring.scorer import LanguageScorer
from rayforget.space.tasks.lm_eval import LmEvalTask
from rayforget.tasks.text.lm_eval_groups import read_group
from rayforget.tasks.text.lm_eval_index import file_of_group, file_of_task
from rayforget.tasks.text.requests import task_requests
from rayforget.tasks.text.resolve import resolve_text_tasks
from rayforget.tasks.text.types import TaskRequests
from rayforget.values.scores import Score, Split

LENGTH = 512


def sum_of(i: int) -> dict[str, Any]:
    """An item in gsm8k's schema."""
    return {"question": f"How many is {i} and {i}?", "answer": f"It is <<{i}+{i}>>.\n#### {2 * i}"}


def write_task(folder: Path, name: str, base: str, sizes: Mapping[str, int], **changes: Any) -> Path:
    """A task file over documents of lm-eval's task `base`, split by split."""
    document = DOCUMENTS.get(base, sum_of)
    files = {}
    first = 0
    for split, size in sizes.items():
        path = folder / f"{name}-{split}.jsonl"
        path.write_text("\n".join(json.dumps(document(first + i)) for i in range(size)) + "\n")
        files[split], first = str(path), first + size
    own = {f"{key}_split": None for key in ("training", "validation", "test")}
    named = {"train": "training_split", "validation": "validation_split", "test": "test_split"}
    own |= {key: split for split, key in named.items() if split in sizes}
    data = {"dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": files}}
    config = {"include": str(file_of_task(base)), "task": name, "tag": None, **data, **own, **changes}
    place = folder / f"{name}.yaml"
    place.write_text(yaml.safe_dump(config))
    return place


def theirs(model: CausalLm, folder: Path, name: str, metric: str, **how: Any) -> tuple[dict[str, Any], list[float]]:
    """lm-eval's results and each item's, task after task."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    lm = HFLM(pretrained=model.head.lm, tokenizer=model.tokenizer, batch_size=1, max_length=LENGTH)
    found = simple_evaluate(
        model=lm,
        tasks=[name],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        bootstrap_iters=0,
        **how,
    )
    samples = found["samples"]
    metric, _, chosen = metric.partition(",")
    items = [
        sample[metric]
        for own in samples.values()
        for sample in sorted(own, key=lambda sample: sample["doc_id"])
        if not chosen or sample["filter"] == chosen
    ]
    return found["results"], items


def ours(model: CausalLm, cache: Path, file: str | Path, metric: str, **how: Any) -> Score:
    """The score of a task or group file on its split `test`."""
    declared = {"kind": "lm_eval", "role": "generality", "group": "g", "task": str(file), "trust_code": True}
    task = LmEvalTask.model_validate({**declared, "metric": metric, "val": "validation", "test": "test", **how})
    resolved = resolve_text_tasks({"t": task})["t"]

    def requests(split: Split) -> TaskRequests:
        return task_requests(
            resolved, split, model.tokenizer, max_length=LENGTH, prefix_token=model.prefix_token, cache=cache
        )

    (scores,) = LanguageScorer(model, {"t": requests}, batch_tokens=1024).score([{}], "test")
    assert isinstance(scores, Mapping)
    return scores["t"]


@pytest.fixture(autouse=True)
def _cached_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")


SIZES = {"train": 9, "validation": 3, "test": 8}


@pytest.mark.parametrize("metric", ["acc", pytest.param("acc_norm", marks=pytest.mark.slow)])
def test_examples_in_the_prompt_are_those_of_lm_eval(tmp_path: Path, metric: str) -> None:
    model = tiny_language_model(positions=LENGTH)
    file = write_task(tmp_path, "mine", "arc_easy", SIZES)
    results, items = theirs(model, tmp_path, "mine", metric, num_fewshot=3)
    found = ours(model, tmp_path, file, metric, num_fewshot=3)
    assert found.items.tolist() == items
    assert found.value == pytest.approx(results["mine"][f"{metric},none"])
    without = ours(model, tmp_path, file, metric)
    assert without.items_hash != found.items_hash


@pytest.mark.parametrize(
    ("template", "multiturn"),
    [
        ("gemma", True),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in [("chatml", True), ("mistral", True), ("qwen", False)]
        ),
    ],
)
def test_a_chat_templates_prompts_are_those_of_lm_eval(tmp_path: Path, template: str, multiturn: bool) -> None:
    model = tiny_language_model(positions=LENGTH)
    model = replace(model, tokenizer=copy.deepcopy(model.tokenizer))
    model.tokenizer.chat_template = TEMPLATES[template]
    described = {"description": "Answer well.\n"}  # a system message, which Gemma's template refuses
    file = write_task(tmp_path, "mine", "arc_easy", SIZES, **described)
    asked = {"num_fewshot": 2, "fewshot_as_multiturn": multiturn}
    _, items = theirs(model, tmp_path, "mine", "acc", apply_chat_template=True, **asked)
    found = ours(model, tmp_path, file, "acc", chat_template=True, **asked)
    assert found.items.tolist() == items


@pytest.mark.parametrize("by_size", [pytest.param(True, marks=pytest.mark.slow), False])
def test_a_group_is_one_task_with_its_own_weights(tmp_path: Path, by_size: bool) -> None:
    model = tiny_language_model(positions=LENGTH)
    write_task(tmp_path, "one", "arc_easy", SIZES)
    write_task(tmp_path, "two", "arc_challenge", {**SIZES, "test": 5}, tag="both")
    write_task(tmp_path, "three", "openbookqa", {**SIZES, "test": 3}, tag="both", num_fewshot=1)
    listed = [{"metric": "acc", "aggregation": "mean", "weight_by_size": by_size}]
    inner = {"group": "inner", "task": ["both"], "aggregate_metric_list": listed}
    file = tmp_path / "all.yaml"
    file.write_text(yaml.safe_dump({"group": "all", "task": ["one", inner], "aggregate_metric_list": listed}))
    results, items = theirs(model, tmp_path, "all", "acc")
    found = ours(model, tmp_path, file, "acc")
    assert found.items.tolist() == items
    assert len(items) == 16
    assert (found.weights is None) == by_size
    assert found.value == pytest.approx(results["all"]["acc,none"], abs=1e-6)


@pytest.mark.parametrize(
    "metric", [pytest.param("exact_match,strict-match", marks=pytest.mark.slow), "exact_match,flexible-extract"]
)
def test_answers_that_are_written_are_filtered_as_by_lm_eval(tmp_path: Path, metric: str) -> None:
    model = tiny_language_model(positions=LENGTH)
    changes = {"generation_kwargs": {"until": ["Question:"], "do_sample": False, "max_gen_toks": 24}}
    file = write_task(tmp_path, "sums", "gsm8k", SIZES, num_fewshot=2, fewshot_split="train", **changes)
    results, items = theirs(model, tmp_path, "sums", metric)
    found = ours(model, tmp_path, file, metric)
    assert found.items.tolist() == items
    assert found.value == pytest.approx(results["sums"][metric])


@pytest.mark.slow
def test_few_shots_of_real_questions_are_those_of_lm_eval(shared: Path, tmp_path: Path) -> None:
    """lm-eval's own arc_easy by its name, over local files of its schema."""
    files = {}
    for split, name in (("train", "train"), ("validation", "val"), ("test", "test")):
        lines = (shared / "data" / "text" / "arc_easy" / f"{name}.jsonl").read_text().splitlines()[:24]
        files[split] = tmp_path / f"{split}.jsonl"
        files[split].write_text("\n".join(json.dumps(_as_arc(json.loads(line))) for line in lines))
    spec = CausalLmFoundation(kind="causal_lm", model=str(shared / "data" / "opt_real"))
    model = load_causal_lm(spec, torch.device("cpu"))
    data = {"data_files": {split: str(path) for split, path in files.items()}}
    config = {"include": str(file_of_task("arc_easy")), "task": "mine", "tag": None}
    config |= {"dataset_path": "json", "dataset_name": None, "dataset_kwargs": data}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    results, items = theirs(model, tmp_path, "mine", "acc_norm", num_fewshot=5)
    found = ours(model, tmp_path, "arc_easy", "acc_norm", num_fewshot=5, data_files=files, trust_code=False)
    assert found.items.tolist() == items
    assert found.value == pytest.approx(results["mine"]["acc_norm,none"])
    assert 0 < found.value < 1


def _as_arc(row: dict[str, Any]) -> dict[str, Any]:
    labels = "ABCDE"[: len(row["choices"])]
    choices = {"text": row["choices"], "label": list(labels)}
    return {"question": row["question"], "choices": choices, "answerKey": labels[row["answer"]]}


@pytest.mark.slow
def test_mmlu_is_one_task_of_57_by_size(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in read_group(file_of_group("mmlu") or Path(), "acc").members:
        rows = [{"question": f"{name} {i}?", "choices": ["a", "b", "c", "d"], "answer": i % 4} for i in range(4)]
        for split, own in (("test", rows[:2]), ("dev", rows[2:])):
            (tmp_path / "data" / f"{name}-{split}.jsonl").write_text("\n".join(map(json.dumps, own)))
    model = tiny_language_model(positions=LENGTH)
    files = {split: tmp_path / "data" / f"{{task}}-{split}.jsonl" for split in ("test", "dev")}
    cut = {"val": None, "test": None, "cut": {"split": "test"}}
    found = ours(model, tmp_path, "mmlu", "acc", num_fewshot=2, data_files=files, trust_code=False, **cut)
    assert 40 < len(found.items) < 74  # half of 57 x 2
    assert found.weights is None
