import json

import numpy as np
import pytest
from lm_eval_data import CHOOSING, split_of, write
from lm_eval_peer import HashedLM
from tokenizers_here import tokenizer

from rayforget.errors import TaskError
from rayforget.space.tasks.lm_eval import LmEvalCut, LmEvalTask
from rayforget.space.tasks.text import InstructionTask, JsonLinesSource, MultipleChoiceTask, PlainTextTask
from rayforget.tasks.text.lm_eval_index import task_config
from rayforget.tasks.text.lm_eval_made import task_over
from rayforget.tasks.text.requests import task_requests
from rayforget.tasks.text.resolve import resolve_text_tasks
from rayforget.tasks.text.types import PairResults

LM = HashedLM()


def lm_eval_task(path, name, metric, **others):
    split = split_of(name)
    scored = others or {"cut": LmEvalCut(split=split)}
    return LmEvalTask(
        kind="lm_eval", role="generality", group="g", task=name, metric=metric, data_files={split: path}, **scored
    )


def results_of(task, split, judged):
    """The hashed model's answers in the order of our pairs, each split over no more than one pair."""
    instances = []
    for index, document in enumerate(task.splits[split].documents):
        context = judged.fewshot_context(
            document.values, num_fewshot=0, gen_prefix=judged.doc_to_prefix(document.values)
        )
        made = judged.construct_requests(document.values, context, metadata=("t", index, 1))
        instances += made if isinstance(made, list) else [made]
    kind = instances[0].request_type
    answers = getattr(LM, kind)(instances)
    if kind == "generate_until":
        return PairResults(log_likelihoods=np.zeros(0), greedy=np.zeros(0, dtype=bool)), answers
    pairs = answers if kind == "loglikelihood" else [(answer, False) for answer in answers]
    return (
        PairResults(
            log_likelihoods=np.array([each for each, _ in pairs], dtype=np.float64),
            greedy=np.array([greedy for _, greedy in pairs], dtype=np.bool_),
        ),
        [],
    )


def judged_by_us(task, tmp_path, split="val"):
    found = task_requests(task, split, tokenizer(bos=False), max_length=4096, prefix_token=0, cache=tmp_path / "cache")
    judged = task.lm_eval
    return found, found.judge(*results_of(task, split, judged))


def judged_by_lm_eval(task, name, metric, path, split="val"):
    """Per document, what lm_eval.evaluate logs for the same documents."""
    from datasets import Dataset
    from lm_eval.evaluator import evaluate

    key = {"validation": "validation_split", "test": "test_split"}[split_of(name)]
    config = {**task_config(name), "training_split": None, "validation_split": None, "test_split": None}
    config |= {key: "only", "fewshot_split": None, "process_docs": None}
    documents = [dict(each.values) for each in task.splits[split].documents]
    peer = task_over(config, {"only": Dataset.from_list(documents)})
    done = evaluate(LM, {name: peer}, bootstrap_iters=0)
    samples = sorted(done["samples"][name], key=lambda sample: sample["doc_id"])
    return [sample[metric] for sample in samples], done["results"][name]


WITHOUT_NORM = ("boolq", "commonsense_qa", "pubmedqa", "social_iqa", "winogrande")
"""The tasks of `CHOOSING` that do not ask for acc_norm."""


def test_the_tasks_without_acc_norm_are_these():
    asked = {name: [each["metric"] for each in task_config(name)["metric_list"]] for name in CHOOSING}
    assert sorted(name for name in CHOOSING if "acc_norm" not in asked[name]) == list(WITHOUT_NORM)


@pytest.mark.parametrize(
    ("name", "metric"),
    [(name, metric) for name in CHOOSING for metric in ("acc", "acc_norm")[: 1 if name in WITHOUT_NORM else 2]],
)
def test_items_and_score_are_those_of_lm_eval(tmp_path, name, metric):
    path = write(tmp_path, name, 40)
    task = resolve_text_tasks({"t": lm_eval_task(path, name, metric)})["t"]
    found, (items, weights) = judged_by_us(task, tmp_path)
    theirs, results = judged_by_lm_eval(task, name, metric, path)
    assert found.rule == metric
    assert items.dtype == np.bool_
    assert weights is None
    assert items.tolist() == [bool(each) for each in theirs]
    assert items.mean() == pytest.approx(results[f"{metric},none"], abs=1e-12)


def test_the_hashed_model_makes_ties():
    """The first of equal choices is right or wrong, as in lm-eval; without ties the test above would not see it."""
    values = [LM.loglikelihood([type("R", (), {"args": (str(i), "x")})])[0][0] for i in range(30)]
    assert len(set(values)) < 13


@pytest.mark.parametrize(("name", "metric"), [("lambada_openai", "acc"), ("arc_challenge_chat", "exact_match")])
def test_greedy_and_written_answers_are_judged_as_by_lm_eval(tmp_path, name, metric):
    path = write(tmp_path, name, 20)
    task = resolve_text_tasks({"t": lm_eval_task(path, name, metric)})["t"]
    _, (items, weights) = judged_by_us(task, tmp_path)
    theirs, _ = judged_by_lm_eval(task, name, metric, path)
    assert weights is None
    assert items.tolist() == [bool(each) for each in theirs]
    assert 0 < items.sum() < len(items)


def test_a_metric_may_name_its_filter(tmp_path):
    path = write(tmp_path, "arc_challenge_chat", 20)
    plain, filtered = (
        resolve_text_tasks({"t": lm_eval_task(path, "arc_challenge_chat", metric)})["t"]
        for metric in ("exact_match", "exact_match,remove_whitespace")
    )
    assert judged_by_us(plain, tmp_path)[1][0].tolist() == judged_by_us(filtered, tmp_path)[1][0].tolist()


@pytest.mark.parametrize("name", ["arc_easy", "pubmedqa", "winogrande", "medmcqa", "hellaswag"])
def test_likelihood_is_that_of_the_right_choice_by_its_bytes(tmp_path, name):
    task = resolve_text_tasks({"t": lm_eval_task(write(tmp_path, name), name, "likelihood")})["t"]
    found, (items, weights) = judged_by_us(task, tmp_path)
    judged, documents = task.lm_eval, task.splits["val"].documents
    results, _ = results_of(task, "val", judged)
    per_document = results.log_likelihoods.reshape(len(documents), -1)
    for row, document, item, weight in zip(per_document, documents, items, weights, strict=True):
        gold, choices = judged.doc_to_target(document.values), judged.doc_to_choice(document.values)
        if name == "winogrande":
            right, text = judged.doc_to_text(document.values), gold
        else:
            right = choices.index(gold) if isinstance(gold, str) else gold
            text = choices[right]
        assert weight == len(text.encode())
        assert item == pytest.approx(-row[right] / np.log(2) / len(text.encode()), rel=1e-6)
    assert found.rule == "bits_per_byte"
    assert items.dtype == weights.dtype == np.float32


def test_rolling_texts_count_the_bytes_that_their_task_counts(tmp_path):
    """wikitext counts the bytes of the page before cleaning; lm-eval's score is the same sum over the same bytes."""
    path = write(tmp_path, "wikitext", 9)
    task = resolve_text_tasks({"t": lm_eval_task(path, "wikitext", "likelihood")})["t"]
    _, (items, weights) = judged_by_us(task, tmp_path)
    pages = [each.values["page"] for each in task.splits["val"].documents]
    assert weights.tolist() == [len(page.encode()) for page in pages]
    _, results = judged_by_lm_eval(task, "wikitext", "bits_per_byte", path)
    assert (items * weights).sum() / weights.sum() == pytest.approx(results["bits_per_byte,none"], rel=1e-5)


def test_our_own_instructions_and_texts_weigh_the_answers_own_bytes(tmp_path):
    rows = {
        "instruction": [{"instruction": "Say it.", "output": "é" * (i + 1)} for i in range(5)],
        "text": [{"text": "été " * (i + 1)} for i in range(5)],
    }
    for kind, values in rows.items():
        splits = {}
        for place, split in enumerate(("val", "test")):
            path = tmp_path / f"{kind}{split}.jsonl"
            path.write_text("\n".join(map(json.dumps, values[3 * place : 3 * place + 3])))
            splits[split] = JsonLinesSource(kind="jsonl", path=path)
        made = {"instruction": InstructionTask, "text": PlainTextTask}[kind]
        task = resolve_text_tasks({"t": made(kind=kind, role="generality", group="g", **splits)})["t"]
        found = task_requests(task, "val", tokenizer(bos=True), max_length=8, prefix_token=0, cache=tmp_path / "cache")
        count = len(found.pairs.continuations)
        likelihoods = -np.arange(1, count + 1, dtype=np.float64)
        items, weights = found.judge(
            PairResults(log_likelihoods=likelihoods, greedy=np.zeros(count, dtype=np.bool_)), []
        )
        expected = [len(next(iter(reversed(row.values()))).encode()) for row in values[:3]]
        assert weights.tolist() == expected
        assert (items * weights).sum() == pytest.approx(-likelihoods.sum() / np.log(2), rel=1e-6)


def test_our_own_choices_tie_to_the_first_and_norm_by_length_as_lm_eval(tmp_path):
    from lm_eval.evaluator import evaluate

    rows = [{"question": f"Which {i}?", "choices": ["ab", "abcd", "été"], "answer": i % 3} for i in range(60)]
    for place, split in enumerate(("val", "test")):
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows[place::2])))
    splits = {split: JsonLinesSource(kind="jsonl", path=tmp_path / f"{split}.jsonl") for split in ("val", "test")}
    config = {
        "task": "peer",
        "dataset_path": "json",
        "test_split": "test",
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_target": "{{answer}}",
        "doc_to_choice": "{{choices}}",
        "output_type": "multiple_choice",
        "metric_list": [
            {"metric": each, "aggregation": "mean", "higher_is_better": True} for each in ("acc", "acc_norm")
        ],
    }
    from datasets import Dataset

    peer = task_over(config, {"test": Dataset.from_list(rows[0::2])})
    theirs = sorted(evaluate(LM, {"peer": peer}, bootstrap_iters=0)["samples"]["peer"], key=lambda each: each["doc_id"])
    for metric in ("acc", "acc_norm"):
        declared = MultipleChoiceTask(kind="multiple_choice", role="generality", group="g", metric=metric, **splits)
        task = resolve_text_tasks({"t": declared})["t"]
        found = task_requests(
            task, "val", tokenizer(bos=False), max_length=512, prefix_token=0, cache=tmp_path / "cache"
        )
        results, _ = results_of(task, "val", peer_of(task))
        items, _ = found.judge(results, [])
        assert items.tolist() == [bool(each[metric]) for each in theirs]


def peer_of(task):
    from rayforget.tasks.text.own_task import own_lm_eval_task

    return own_lm_eval_task("t", task.task, task.splits["val"].documents[0])


@pytest.mark.parametrize(
    ("name", "metric", "text"),
    [
        ("arc_easy", "f2", r"found f2; the task has acc, acc_norm, likelihood"),
        ("lambada_openai", "perplexity", r"found perplexity, which is better when lower; use acc, likelihood"),
        ("wikitext", "bits_per_byte", r"found bits_per_byte, .* use likelihood"),
        ("arc_challenge_chat", "likelihood", r"found likelihood, and the task writes its answers; .* exact_match"),
    ],
)
def test_a_metric_that_is_no_share_of_items_is_refused(tmp_path, name, metric, text):
    with pytest.raises(TaskError, match=rf"^tasks.t.metric: {text}"):
        resolve_text_tasks({"t": lm_eval_task(write(tmp_path, name), name, metric)})
