"""Metrics of a whole corpus are lm-eval's, and what is kept of each item gives the corpus's score in every resample."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from datasets import Dataset
from lm_eval.evaluator import evaluate
from lm_eval_peer import HashedLM
from test_judge import results_of
from tokenizers_here import tokenizer

from rayforget.errors import TaskError
from rayforget.metrics.scored_items import ScoredItems
from rayforget.record.objects import decode_scores, encode_scores
from rayforget.space.tasks.lm_eval import LmEvalTask
from rayforget.tasks.text.corpus import corpus_metric
from rayforget.tasks.text.lm_eval_made import task_over
from rayforget.tasks.text.requests import task_requests
from rayforget.tasks.text.resolve import resolve_text_tasks
from rayforget.tasks.text.resolved import ResolvedText
from rayforget.values.scores import Score

SENTENCES = (
    "the cat sat on the mat and looked at the dog",
    "the dog sat on the mat",
    "a cat, a dog and a horse looked at the moon",
    "yes",
)
WRITTEN: dict[str, Any] = {
    "output_type": "generate_until",
    "doc_to_text": "{{question}}",
    "doc_to_target": "{{answer}}",
}
CHOSEN: dict[str, Any] = {
    "output_type": "multiple_choice",
    "doc_to_text": "{{question}}",
    "doc_to_target": "{{right}}",
    "doc_to_choice": "{{choices}}",
}


def documents(count: int, choices: int = 2) -> list[dict[str, Any]]:
    return [
        {
            "question": f"what of {i}?",
            "answer": SENTENCES[i % 3],
            "right": i // 3 % choices,
            "choices": list("abcde"[:choices]),
        }
        for i in range(count)
    ]


def declared(folder: Path, metric: str, how: dict[str, Any], *, choices: int = 2, **entry: Any) -> ResolvedText:
    """A task of one's own over files, resolved."""
    rows = documents(24, choices)
    files = {}
    for split, own in (("validation", rows[:4]), ("test", rows[4:])):
        files[split] = str(folder / f"{split}.jsonl")
        Path(files[split]).write_text("\n".join(map(json.dumps, own)))
    listed = {"metric": metric, "aggregation": metric, "higher_is_better": True, **entry}
    config = {"task": "mine", "dataset_path": "json", "validation_split": "validation", "test_split": "test"}
    config |= {"dataset_kwargs": {"data_files": files}, "metric_list": [listed], **how}
    (folder / "mine.yaml").write_text(yaml.safe_dump(config))
    task = LmEvalTask(
        kind="lm_eval", role="generality", group="g", task=str(folder / "mine.yaml"), metric=metric, trust_code=True,
        data_files={split: Path(path) for split, path in files.items()}, val="validation", test="test",
    )  # fmt: skip
    return resolve_text_tasks({"t": task})["t"]


def score_of(task: ResolvedText, folder: Path, lm: HashedLM, monkeypatch: pytest.MonkeyPatch) -> Score:
    monkeypatch.setattr("test_judge.LM", lm)
    found = task_requests(task, "test", tokenizer(bos=False), max_length=4096, prefix_token=0, cache=folder / "cache")
    items, weights = found.judge(*results_of(task, "test", task.lm_eval))
    return Score(rule=found.rule, items=items, weights=weights, items_hash=found.items_hash)


def of_lm_eval(task: ResolvedText, metric: str, lm: HashedLM) -> float:
    assert task.lm_eval is not None
    config = {**task.lm_eval.config.to_dict(keep_callable=True), "validation_split": None}
    rows = [dict(document.values) for document in task.splits["test"].documents]
    peer = task_over(config, {"test": Dataset.from_list(rows)})
    return float(evaluate(lm, {"mine": peer}, bootstrap_iters=0)["results"]["mine"][f"{metric},none"])


@pytest.mark.parametrize(
    ("metric", "how", "choices", "percent"),
    [
        ("bleu", WRITTEN, 2, 100),
        ("chrf", WRITTEN, 2, 100),
        ("chrf++", WRITTEN, 2, 100),
        ("f1", CHOSEN, 2, 1),
        ("mcc", CHOSEN, 2, 1),
        ("mcc", CHOSEN, 5, 1),
    ],
)
def test_the_corpus_score_is_lm_evals_and_survives_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: str, how: dict[str, Any], choices: int, percent: float
) -> None:
    lm = HashedLM(SENTENCES)
    aggregation = {"aggregation": "matthews_corrcoef"} if metric == "mcc" else {}
    task = declared(tmp_path, metric, how, choices=choices, **aggregation)
    score = score_of(task, tmp_path, lm, monkeypatch)
    assert percent * score.value == pytest.approx(of_lm_eval(task, metric, lm), abs=1e-9)
    assert abs(score.value) > 0.05
    kept, _ = decode_scores(encode_scores({"t": score}, {}), "x")
    assert kept["t"].value == score.value
    assert kept["t"].items.tolist() == score.items.tolist()


def corpora(seed: int) -> list[tuple[str, str]]:
    rng = np.random.default_rng(seed)
    words = ["the", "cat", "sat", "on", "a", "mat", ",", "dog", "looked", "moon", "yes"]

    def text() -> str:
        return " ".join(rng.choice(words, size=rng.integers(1, 12)))

    return [(right, right if rng.random() < 0.3 else text()) for right in (text() for _ in range(60))]


def truth(metric: str, pairs: Sequence[tuple[Any, Any]]) -> float:
    from lm_eval.api import metrics

    return float(getattr(metrics, metric)(pairs))


def items_of(metric: str, pairs: Sequence[tuple[Any, Any]]) -> ScoredItems:
    from lm_eval.api import metrics

    found = corpus_metric(getattr(metrics, metric))
    assert found is not None
    results = found.results(pairs)
    score = Score(rule=found.rule, items=results, items_hash="h")
    assert results.shape == (len(pairs), score.metric.num_results)
    return score.scored


@pytest.mark.parametrize(
    ("metric", "percent"), [("bleu", 100), ("chrf", 100), ("chrfpp", 100), ("f1_score", 1), ("matthews_corrcoef", 1)]
)
def test_resamples_and_errors_are_the_corpus_scores_of_the_items_drawn(metric: str, percent: float) -> None:
    pairs: list[tuple[Any, Any]] = corpora(0)
    if percent == 1:
        rng = np.random.default_rng(1)
        rights = rng.integers(2, size=60).tolist()
        pairs = [(right, right if rng.random() < 0.6 else 1 - right) for right in rights]
    scored = items_of(metric, pairs)
    draws = np.random.default_rng(2).integers(60, size=(400, 60))
    counts = np.stack([np.bincount(drawn, minlength=60) for drawn in draws]).astype(np.float64)
    (resampled,) = scored.resampled([counts])
    expected = [truth(metric, [pairs[i] for i in drawn]) for drawn in draws[:20]]
    assert percent * resampled[:20, 0] == pytest.approx(expected, abs=1e-9)
    assert float(np.sqrt(scored.variances()[0])) == pytest.approx(resampled.std(), rel=0.15)


@pytest.mark.parametrize(
    "pairs",
    [
        [("the cat", "a dog")],  # nothing right
        [("the cat sat", "the cat sat")],  # no n-gram of four
        [("the cat sat on", "the cat sat on")],
        [("the cat sat on the mat", "mat the on sat cat the")],  # smoothing of three orders
        [("the cat sat on the mat", "")],
        [("a", "a"), ("", "x y z w")],
    ],
)
@pytest.mark.parametrize("metric", ["bleu", "chrf", "chrfpp"])
def test_odd_corpora_score_as_in_sacrebleu(metric: str, pairs: list[tuple[str, str]]) -> None:
    scored = items_of(metric, pairs)
    assert 100 * scored.values()[0] == pytest.approx(truth(metric, pairs), abs=1e-9)
    assert np.isfinite(scored.variances()).all()


def test_a_model_that_always_says_the_same_has_no_correlation_and_no_error() -> None:
    scored = items_of("matthews_corrcoef", [(i % 2, 1) for i in range(9)])
    assert (scored.values(), scored.variances().tolist()) == ([0.0], [0.0])
    assert items_of("f1_score", [(0, 0)] * 3).values() == [0.0]


@pytest.mark.parametrize(
    ("metric", "how", "entry", "reason"),
    [
        ("ter", WRITTEN, {"higher_is_better": False}, "found ter, which is better when lower; use none"),
        ("exact_match", WRITTEN, {"aggregation": "median"}, "which lm-eval makes of all items by median"),
        ("bleu", CHOSEN, {}, "which is taken of written answers alone; use likelihood"),
        ("f1", WRITTEN, {}, "which is taken of numbered choices alone"),
    ],
)
def test_others_are_refused_with_the_reason(
    tmp_path: Path, metric: str, how: dict[str, Any], entry: dict[str, Any], reason: str
) -> None:
    with pytest.raises(TaskError, match=r"^tasks\.t\.metric: found ") as raised:
        declared(tmp_path, metric, how, **entry)
    assert reason in str(raised.value)


def test_f1_of_more_than_two_choices_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = declared(tmp_path, "f1", CHOSEN, choices=3)
    with pytest.raises(TaskError, match="more than two choices"):
        score_of(task, tmp_path, HashedLM(), monkeypatch)
