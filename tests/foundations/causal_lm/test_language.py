"""Scores are the judge's, requests are made once, and a model that is not finite has no scores."""

import dataclasses

import numpy as np
import torch
from tiny_language import (
    MIXED,
    NO_PAIRS,
    TEXTS,
    greedy_pairs,
    likely_pairs,
    moved,
    prompts_of,
    random_pairs,
    tiny_language_model,
)

from rayforget.evaluate.finite import NotFinite
from rayforget.foundations.causal_lm.scoring.likelihood import log_likelihoods, prepare_rows
from rayforget.foundations.causal_lm.scoring.scorer import LanguageScorer
from rayforget.heartbeat import heard_by


def answered(texts):
    """A task that generates: an item per prompt, right if the answer is as long as the prompt's number is odd."""
    return dataclasses.replace(
        greedy_pairs(NO_PAIRS),
        rule="exact_match",
        generations=prompts_of(texts),
        num_items=len(texts),
        judge=lambda found, answers: (np.array([len(answer) % 2 == 1 for answer in answers]), None),
    )


class Requests:
    """Counts how often a task's requests are made."""

    def __init__(self, made):
        self.made, self.asked = made, []

    def __call__(self, split):
        self.asked.append(split)
        return self.made


def scorer_of(model, tasks=None, batch_tokens=64):
    tasks = tasks or {"greedy": greedy_pairs(MIXED), "likely": likely_pairs(MIXED), "answers": answered(TEXTS)}
    return LanguageScorer(model, {name: Requests(made) for name, made in tasks.items()}, batch_tokens=batch_tokens)


def test_a_score_is_what_the_judge_makes_of_the_results():
    model = tiny_language_model()
    theta = moved(model)
    first, second = scorer_of(model).score([{}, theta], "val")
    for scores, weights in ((first, {}), (second, theta)):
        batches = prepare_rows(model, MIXED, batch_tokens=64)
        found = log_likelihoods(model, weights, batches, num_pairs=len(MIXED.continuations))
        assert scores["greedy"].items.tolist() == found.greedy.tolist()
        tokens = len(MIXED.tokens) - MIXED.continuations.sum()
        assert scores["likely"].count == tokens
        np.testing.assert_allclose(scores["likely"].value, found.log_likelihoods.sum() / tokens, rtol=1e-6)
        assert len(scores["answers"].items) == len(TEXTS)
    assert {score.rule for score in first.values()} == {"greedy", "likelihood", "exact_match"}
    assert first["likely"].items_hash == "1" * 32


def test_requests_are_made_once_for_all_models_and_only_when_they_are_scored():
    model = tiny_language_model()
    requests = Requests(greedy_pairs(MIXED))
    scorer = LanguageScorer(model, {"greedy": requests}, batch_tokens=64)
    assert requests.asked == []
    scorer.score([{}, moved(model)], "val")
    scorer.items_hash("val")
    scorer.score([{}], "val")
    assert requests.asked == ["val"]
    scorer.score([{}], "test")
    assert requests.asked == ["val", "test"]


def test_a_model_that_is_not_finite_has_no_scores_and_leaves_the_others_theirs():
    model = tiny_language_model()
    name = "model.decoder.final_layer_norm.weight"
    scorer = scorer_of(model)
    sound, broken = scorer.score([{}, {name: torch.full_like(model.theta_0[name], torch.inf)}], "val")
    assert broken == NotFinite(items={"greedy": 15, "likely": 15, "answers": 4})
    assert sound.keys() == {"greedy", "likely", "answers"}


def test_the_identity_is_that_of_model_and_batches():
    same = [scorer_of(tiny_language_model(seed=seed)).identity for seed in (0, 1)]
    assert same[0] == same[1]
    other = [scorer_of(tiny_language_model("llama")), scorer_of(tiny_language_model(), batch_tokens=65)]
    assert len({same[0], *(scorer.identity for scorer in other)}) == 3


def test_the_items_hash_is_that_of_documents_rules_and_prompts():
    model = tiny_language_model()
    task = greedy_pairs(MIXED)
    variants = {
        "same": task,
        "again": greedy_pairs(MIXED),
        "documents": greedy_pairs(MIXED, "2" * 32),
        "rule": dataclasses.replace(task, rule="other"),
        "tokens": greedy_pairs(random_pairs([(7, [3, 3, 5, 2])])),
        "prompts": dataclasses.replace(task, generations=prompts_of(TEXTS)),
        "until": dataclasses.replace(task, generations=prompts_of(TEXTS, until=("\n",))),
    }
    hashes = {name: scorer_of(model, {"task": made}).items_hash("val") for name, made in variants.items()}
    assert hashes.pop("again") == hashes["same"]
    assert len(set(hashes.values())) == len(hashes)


def test_every_model_beats_with_every_task_batch_and_token():
    model, heard = tiny_language_model(), []
    scorer = scorer_of(model)
    assert scorer.models_per_pass == 1
    with heard_by(lambda stage, *_: heard.append(stage)):
        scorer.score([{}], "val")
        first = len(heard)
        scorer.score([{}], "val")
    assert {"prepare tasks.greedy.val", "lay out rows"} <= set(heard[:first])
    again = heard[first:]
    batches = len(prepare_rows(model, MIXED, batch_tokens=64))
    assert batches > 1
    assert again.count("score texts") == 2 * batches  # for two tasks
    assert again.count("generate") >= 2
    assert [stage for stage in again if stage.startswith(("score ", "judge ")) and stage != "score texts"] == [
        "score greedy", "judge greedy", "score likely", "judge likely", "score answers", "judge answers",
    ]  # fmt: skip


def test_the_hash_per_task_is_what_its_scores_carry():
    model = tiny_language_model()
    scorer = scorer_of(model)
    (scores,) = scorer.score([{}], "val")
    assert scorer.items_by_task("val") == {name: score.items_hash for name, score in scores.items()}
    assert scorer.facts("val") == {}


def test_what_was_counted_of_the_items_is_told_and_stands_in_every_score():
    counted = dataclasses.replace(likely_pairs(MIXED), facts={"cut_items": 2, "tokens": 50})
    scorer = LanguageScorer(
        tiny_language_model(), {"a": lambda _: counted, "b": lambda _: greedy_pairs(MIXED)}, batch_tokens=64
    )
    assert scorer.counted("val") == {"a": {"cut_items": 2, "tokens": 50}, "b": {}}
    (scored,) = scorer.score([{}], "val")
    assert {name: dict(score.facts) for name, score in scored.items()} == scorer.counted("val")
