"""Weights that are rounded once answer as autocast does, to the bit."""

import pytest
import torch
from tiny_language import CPU, KINDS, TEXTS, moved, prompts_of, tiny_language_model
from torch.func import functional_call

from rayforget.evaluate.precision import run_in
from rayforget.foundations.causal_lm.scoring import generation
from rayforget.foundations.causal_lm.scoring.rounded_weights import rounded_once


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", [False, True])
def test_features_have_the_bits_of_autocast(kind, other):
    model = tiny_language_model(kind)
    weights = model.weights(moved(model) if other else {})
    tokens = torch.arange(3, 40)[None]
    with torch.inference_mode(), run_in("bf16", CPU):
        rounded = rounded_once(model, weights)
        expected = functional_call(model.head, weights, kwargs={"tokens": tokens})
        found = functional_call(model.head, rounded, kwargs={"tokens": tokens})
    assert torch.equal(found, expected)
    matrices = [name for name, weight in rounded.items() if weight.dtype == torch.bfloat16]
    assert len(matrices) >= 8
    assert not [name for name in matrices if "embed" in name]


def test_answers_in_half_precision_are_those_of_weights_rounded_at_every_step(monkeypatch):
    model = tiny_language_model("llama")
    theta = moved(model)
    with run_in("bf16", CPU):
        found = generation.generate(model, theta, prompts_of(TEXTS), batch_tokens=10**4)
        monkeypatch.setattr(generation, "rounded_once", lambda model, weights: weights)
        expected = generation.generate(model, theta, prompts_of(TEXTS), batch_tokens=10**4)
    assert found.texts == expected.texts


def test_without_autocast_weights_stay_as_they_are():
    model = tiny_language_model()
    weights = model.weights(moved(model))
    assert rounded_once(model, weights) is weights
