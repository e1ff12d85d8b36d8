"""Log-likelihoods equal those of each pair on its own in float64."""

import copy

import numpy as np
import pytest
import torch
from tiny_language import CPU, KINDS, MIXED, NO_PAIRS, moved, random_pairs, tiny_language_model

import rayforget.foundations.causal_lm.scoring.likelihood as likelihood
from rayforget.foundations.causal_lm.scoring.likelihood import log_likelihoods, prepare_rows
from rayforget.foundations.causal_lm.scoring.token_rows import row_batches
from rayforget.interpolate.hashing import state_hash


def alone(model, theta, pairs):
    """(log-likelihood, greedy) of each pair, one forward each, in float64."""
    lm = copy.deepcopy(model.head.lm).double()
    lm.load_state_dict({name: x.double() for name, x in theta.items()}, strict=False)
    lm.tie_weights()
    found = []
    for number, context in enumerate(pairs.continuations):
        tokens = torch.from_numpy(pairs.tokens[pairs.starts[number] : pairs.starts[number + 1]]).long()
        read = tokens[-(model.max_length + 1) :]
        length = len(tokens) - context
        with torch.no_grad():
            logits = lm(read[None, :-1]).logits[0, -length:]
        log_p = logits.log_softmax(-1).gather(1, read[-length:, None])
        found.append((float(log_p.sum()), bool((logits.argmax(-1) == read[-length:]).all())))
    return found


def ask(model, theta, pairs, batch_tokens=64):
    batches = prepare_rows(model, pairs, batch_tokens=batch_tokens)
    return log_likelihoods(model, theta, batches, num_pairs=len(pairs.continuations))


@pytest.mark.parametrize("kind", KINDS)
def test_each_pair_has_the_log_likelihood_that_it_has_alone(kind):
    model = tiny_language_model(kind)
    theta = moved(model)
    found, expected = ask(model, theta, MIXED), alone(model, theta, MIXED)
    np.testing.assert_allclose(found.log_likelihoods, [value for value, _ in expected], atol=2e-5, rtol=0)
    assert found.greedy.tolist() == [greedy for _, greedy in expected]


def test_the_models_own_greedy_answer_is_known_as_such():
    model = tiny_language_model()
    context = torch.arange(3, 10)[None]
    with torch.no_grad():
        answer = model.head.lm.generate(context, max_new_tokens=3, do_sample=False, eos_token_id=None)
    pairs = random_pairs([(7, [3, 3])])
    pairs.tokens[:10] = answer[0].numpy()
    assert ask(model, {}, pairs).greedy.tolist() == [True, False]


@pytest.mark.parametrize("kind", KINDS)
def test_shared_prefixes_change_nothing(kind):
    model = tiny_language_model(kind)
    apart = row_batches(MIXED, max_length=64, batch_tokens=64, filler=1, share_prefixes=False)
    expected = log_likelihoods(model, {}, apart, num_pairs=len(MIXED.continuations))
    found = ask(model, {}, MIXED)
    np.testing.assert_allclose(found.log_likelihoods, expected.log_likelihoods, atol=1e-5, rtol=0)
    assert (found.greedy == expected.greedy).all()


@pytest.mark.parametrize("batch_tokens", [1, 33, 10**6])
def test_the_size_of_batches_does_not_matter(batch_tokens):
    model = tiny_language_model()
    found = ask(model, {}, MIXED, batch_tokens)
    np.testing.assert_allclose(found.log_likelihoods, ask(model, {}, MIXED).log_likelihoods, atol=1e-5, rtol=0)


def test_pieces_of_the_logits_do_not_matter(monkeypatch):
    model = tiny_language_model()
    whole = ask(model, {}, MIXED)
    monkeypatch.setattr(likelihood, "LOGITS_AT_ONCE", {"cpu": 1})
    np.testing.assert_allclose(ask(model, {}, MIXED).log_likelihoods, whole.log_likelihoods, atol=1e-5, rtol=0)


def test_a_pair_longer_than_the_model_loses_the_beginning_of_its_context():
    model = tiny_language_model(positions=16)
    pairs = random_pairs([(30, [3, 3, 5]), (16, [1]), (15, [1, 2])])
    found, expected = ask(model, {}, pairs), alone(model, {}, pairs)
    np.testing.assert_allclose(found.log_likelihoods, [value for value, _ in expected], atol=2e-5, rtol=0)


def test_theta_0_is_left_as_it_was():
    model = tiny_language_model("qwen2")
    before = ask(model, {}, MIXED)
    theta = moved(model)
    assert not np.allclose(ask(model, theta, MIXED).log_likelihoods, before.log_likelihoods, atol=1e-2)
    assert state_hash(model.theta_0) == model.theta_0_hash
    assert (ask(model, {}, MIXED).log_likelihoods == before.log_likelihoods).all()


def test_a_model_that_is_not_finite_gives_no_finite_log_likelihood():
    model = tiny_language_model()
    name = "model.decoder.final_layer_norm.weight"
    found = ask(model, {name: torch.full_like(model.theta_0[name], torch.nan, device=CPU)}, MIXED)
    assert not np.isfinite(found.log_likelihoods).any()
    assert not found.greedy.any()


def test_no_pairs_have_no_results():
    assert len(ask(tiny_language_model(), {}, NO_PAIRS).log_likelihoods) == 0
