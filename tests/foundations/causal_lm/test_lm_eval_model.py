"""Through lm-eval's interface our engine gives the same as lm-eval's own HFLM."""

import itertools
import json
import logging

import numpy as np
import pytest
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from tiny_language import CPU, KINDS, TEXTS, tiny_language_model

from rayforget.errors import TaskError
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.model import load_causal_lm
from rayforget.foundations.causal_lm.scoring.lm_eval_model import LmEvalModel

CHOICES = [" blue", " the green grass", " the green grass and the sky", " 7", " cat, dog"]
CONTEXTS = [*TEXTS, "Question: ", "", TEXTS[0] * 3]  # with a blank at its end, empty, longer than the model
ASKED = list(itertools.product(CONTEXTS, CHOICES))


def instances(kind, arguments):
    return [Instance(request_type=kind, doc={}, arguments=each, idx=index) for index, each in enumerate(arguments)]


def both(model, batch_size=1):
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    peer = HFLM(pretrained=model.head.lm, tokenizer=model.tokenizer, batch_size=batch_size)
    assert (peer.max_length, peer.prefix_token_id) == (model.max_length, model.prefix_token)
    return LmEvalModel(model, {}, batch_tokens=200), peer


def assert_same_likelihoods(model, asked, groups):
    """Within 1e-4, and with the same best of each group, except for near-ties, which are listed."""
    ours, peer = both(model, batch_size=4)
    requests = instances("loglikelihood", asked)
    found, expected = ours.loglikelihood(requests), peer.loglikelihood(requests, disable_tqdm=True)
    one, other = (np.array([value for value, _ in each]) for each in (found, expected))
    np.testing.assert_allclose(one, other, atol=1e-4, rtol=0)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    ties = near_ties(other, groups)
    tied = {number for number, _, _ in ties}
    for number, group in enumerate(groups):
        assert one[group].argmax() == other[group].argmax() or number in tied, ties
    return ties


def near_ties(values, groups):
    """(group, its best two values) if these differ by less than 2e-4: rounding may then flip the prediction."""
    best_two = [(number, *np.sort(values[group])[-2:]) for number, group in enumerate(groups)]
    return [(number, best, second) for number, second, best in best_two if best - second < 2e-4]


def test_near_ties_are_listed_one_by_one():
    values = np.array([-1.0, -2.0, -1.0001, -3.0, -1.0, -1.0003, -7.0, -7.0])
    groups = [slice(0, 2), slice(0, 4), slice(4, 6), slice(6, 8)]
    assert near_ties(values, groups) == [(1, -1.0, -1.0001), (3, -7.0, -7.0)]
    asked = [(context, choice) for context in TEXTS[:3] for choice in (" blue", " 7", " blue")]  # blue twice
    ties = assert_same_likelihoods(tiny_language_model(), asked, [slice(3 * i, 3 * i + 3) for i in range(3)])
    assert all(best == second for _, best, second in ties)
    assert {number for number, _, _ in ties} <= {0, 1, 2}


def real(shared, name):
    return load_causal_lm(CausalLmFoundation(kind="causal_lm", model=str(shared / "data" / name)), CPU)


def real_questions(shared, count):
    """(context, choice) of some real questions, and the group of each question."""
    asked, groups = [], []
    for task in ("arc_easy", "pubmedqa"):
        lines = (shared / "data" / "text" / task / "val.jsonl").read_text().splitlines()[:count]
        for row in map(json.loads, lines):
            about = f"Abstract: {row['context'][:600]}\n" if "context" in row else ""
            groups.append(slice(len(asked), len(asked) + len(row["choices"])))
            asked += [(f"{about}Question: {row['question']}\nAnswer:", f" {choice}") for choice in row["choices"]]
    return asked, groups


@pytest.mark.parametrize("kind", KINDS)
def test_log_likelihoods_are_those_of_hflm(kind):
    groups = [slice(first, first + len(CHOICES)) for first in range(0, len(ASKED), len(CHOICES))]
    assert assert_same_likelihoods(tiny_language_model(kind), ASKED, groups) == []


@pytest.mark.parametrize("name", ["opt_real", "stories260k"])
def test_log_likelihoods_of_real_questions_are_those_of_hflm(shared, name):
    asked, groups = real_questions(shared, 12)
    assert assert_same_likelihoods(real(shared, name), asked, groups) == []


@pytest.mark.parametrize("kind", KINDS)
def test_rolling_log_likelihoods_are_those_of_hflm(kind):
    ours, peer = both(tiny_language_model(kind, positions=16))
    requests = instances("loglikelihood_rolling", [(text,) for text in [*TEXTS, "a", TEXTS[0] * 3]])
    found = ours.loglikelihood_rolling(requests)
    np.testing.assert_allclose(found, peer.loglikelihood_rolling(requests, disable_tqdm=True), atol=1e-4, rtol=0)


def test_rolling_log_likelihoods_of_real_stories_are_those_of_hflm(shared):
    lines = (shared / "data" / "text" / "tiny_stories" / "val.jsonl").read_text().splitlines()[:3]
    ours, peer = both(real(shared, "stories260k"))
    requests = instances("loglikelihood_rolling", [(json.loads(line)["text"] * 2,) for line in lines])
    found = ours.loglikelihood_rolling(requests)
    np.testing.assert_allclose(found, peer.loglikelihood_rolling(requests, disable_tqdm=True), atol=1e-3, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_answers_are_those_of_hflm(kind):
    ours, peer = both(tiny_language_model(kind))
    texts = generation_texts = [*TEXTS, TEXTS[0] * 3]
    rules = [{"until": ["\n", "a"], "max_gen_toks": 12}, {"until": ["</s>"], "max_gen_toks": 7, "do_sample": False}]
    requests = instances("generate_until", [(text, rule) for text in generation_texts for rule in rules])
    assert len(requests) == 2 * len(texts)
    assert ours.generate_until(requests) == peer.generate_until(requests, disable_tqdm=True)


def test_greedy_answers_of_a_real_model_are_those_of_hflm(shared):
    ours, peer = both(real(shared, "stories260k"))
    prompts = ["Once upon a time", "Tom and his dog went to the park. They", "The little girl was sad because"]
    requests = instances("generate_until", [(text, {"until": ["\n\n", "."], "max_gen_toks": 40}) for text in prompts])
    found = ours.generate_until(requests)
    assert found == peer.generate_until(requests, disable_tqdm=True)
    assert all(len(text) > 5 for text in found)


def test_answers_drawn_at_random_are_refused():
    ours, _ = both(tiny_language_model())
    with pytest.raises(TaskError, match="only greedy"):
        ours.generate_until(instances("generate_until", [("a", {"do_sample": True, "temperature": 1.0})]))
