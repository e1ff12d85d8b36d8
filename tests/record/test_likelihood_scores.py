"""Likelihood scores are 2^(-bits per byte) of the whole set, and their errors follow that curve."""

import json
from dataclasses import replace

import numpy as np
import pytest

from rayforget.errors import RecordError
from rayforget.frontier.points import TaskRole
from rayforget.frontier.uncertainty import Draws, bootstrap, stack_scores, standard_error
from rayforget.metrics.bits_per_byte import TOKENS
from rayforget.metrics.scored_items import ScoredItems
from rayforget.record.score_json import WeightsTable, scores_from_json, scores_to_json
from rayforget.values.scores import BITS_PER_BYTE, CUT_ITEMS, Score

ROLES = (
    TaskRole(name="s", role="speciality", group=""),
    TaskRole(name="g", role="generality", group="g"),
)


def score_of(num_items: int, seed: int = 0) -> Score:
    rng = np.random.default_rng(seed)
    return Score(
        rule=BITS_PER_BYTE,
        items=rng.gamma(4.0, 0.5, num_items).astype(np.float32),
        weights=rng.integers(3, 60, num_items).astype(np.float32),
        items_hash="h",
    )


@pytest.mark.parametrize("num_items", [1, 7, 100])
def test_the_score_is_the_likelihood_per_byte_of_the_whole_set(num_items: int) -> None:
    score = score_of(num_items)
    assert score.weights is not None
    log2_likelihood = -sum(float(x) * float(w) for x, w in zip(score.items, score.weights, strict=True))
    assert np.log2(score.value) == pytest.approx(log2_likelihood / float(score.weights.sum()), rel=1e-5)
    assert 0 < score.value < 1


def test_the_bootstrap_scores_every_resample_by_the_rule() -> None:
    score = score_of(301)
    tasks = {"s": stack_scores([score], task="s"), "g": ScoredItems(results=np.ones((1, 5)))}
    resampled = bootstrap(tasks.__getitem__, ROLES, Draws(num_resamples=4000, seed=0))[:, 0, 0]
    assert resampled.mean() == pytest.approx(score.value, rel=0.01)
    assert standard_error(resampled[:, None])[0] == pytest.approx(score.scored.variances()[0] ** 0.5, rel=0.05)


def test_two_rules_do_not_mix() -> None:
    score = score_of(3)
    other = Score(rule="acc", items=score.items, weights=score.weights, items_hash="h")
    with pytest.raises(RecordError, match="scored by bits_per_byte and by acc"):
        stack_scores([score, other], task="s")


@pytest.mark.parametrize("num_items", [1, 7, 100])
def test_nats_per_token_and_bits_per_byte_are_of_the_same_sum(num_items: int) -> None:
    score = replace(score_of(num_items), facts={TOKENS: 13 * num_items})
    assert score.weights is not None
    nats = sum(float(x) * float(w) * np.log(2) for x, w in zip(score.items, score.weights, strict=True))
    assert score.readings["nll_per_token"] == pytest.approx(nats / (13 * num_items), rel=1e-6)
    assert score.readings["bits_per_byte"] == pytest.approx(-np.log2(score.value), rel=1e-6)


def test_a_score_without_tokens_has_bits_per_byte_alone_and_an_accuracy_nothing() -> None:
    assert set(score_of(3).readings) == {"bits_per_byte"}
    assert replace(score_of(3), rule="acc", weights=None).readings == {}


def test_what_was_counted_comes_back_from_json() -> None:
    table = WeightsTable()
    scores = {"a": replace(score_of(3), facts={TOKENS: 40, CUT_ITEMS: 0}), "b": score_of(2)}
    body = json.loads(json.dumps(scores_to_json(scores, table)))
    found = scores_from_json(body, table.arrays)
    assert {name: score.facts for name, score in found.items()} == {"a": {TOKENS: 40, CUT_ITEMS: 0}, "b": {}}
    assert "facts" not in body["b"]  # as in records that were written before there were any
