"""The tiny OPT that ships: small, loadable by plain transformers, general, ignorant of the medicine, and forgetful."""

from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import OPTForCausalLM

from rayforget.builtin.language.corpus import encode, padded
from rayforget.builtin.language.measure import Plain, fine_tuned, folder_of_weights, line
from rayforget.builtin.language.prompts import prompt_and_answer
from rayforget.builtin.language.scoring import judge, load, scores
from rayforget.builtin.language.world import language_items

FILE = folder_of_weights() / "model.safetensors"


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    return load(folder_of_weights())


def test_the_weights_take_at_most_6_megabytes_in_fp16() -> None:
    assert FILE.stat().st_size <= 6 * 1000**2
    state = load_file(FILE)
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    assert all(tensor.isfinite().all() for tensor in state.values())


def test_plain_transformers_loads_them_as_an_opt_with_tied_embeddings(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    assert isinstance(model, OPTForCausalLM)
    assert model.lm_head.weight is model.model.decoder.embed_tokens.weight
    assert model.config.vocab_size == len(tokenizer)
    assert (model.config.pad_token_id, model.config.eos_token_id) == (tokenizer.pad_token_id, tokenizer.eos_token_id)
    for name, tensor in load_file(FILE).items():
        assert torch.equal(model.state_dict()[name], tensor.float()), name


@pytest.mark.parametrize("part", ["commonsense", "rewriting", "medicine"])
def test_judging_in_batches_equals_one_by_one(loaded: tuple[Any, Any], part: str) -> None:
    model, tokenizer = loaded
    pairs = [prompt_and_answer(item) for item in language_items(part, split="val", count=7, seed=0)]
    for pair, judged in zip(pairs, judge(model, tokenizer, pairs), strict=True):
        prompt, answer = (tokenizer.encode(text, add_special_tokens=False) for text in pair)
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + answer])).logits[0].double()
        alone = sum(float(logits[len(prompt) + place - 1].log_softmax(0)[token]) for place, token in enumerate(answer))
        assert judged.log_likelihood == pytest.approx(alone, abs=1e-4)


def test_greedy_answers_are_what_generation_gives(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    pairs = [prompt_and_answer(item) for item in language_items("picking", split="val", count=5, seed=0)]
    for (prompt, answer), judged in zip(pairs, judge(model, tokenizer, pairs), strict=True):
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        wanted = [*tokenizer.encode(answer, add_special_tokens=False), tokenizer.eos_token_id]
        written = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=len(wanted), do_sample=False)[
            0, ids.shape[1] :
        ]
        assert judged.is_greedy == (written.tolist() == wanted)


def test_sequences_fit_and_are_weighted_on_their_answers(loaded: tuple[Any, Any]) -> None:
    _, tokenizer = loaded
    item = {"question": "What colour is snow?", "choices": ["white", "red"], "answer": 0}
    [(ids, weights)] = encode(tokenizer, [item])
    assert tokenizer.decode(ids) == "Question: What colour is snow?\nAnswer: white</s>"
    assert weights[0] == 0
    assert weights[-2:] == [1.0, 1.0]
    assert set(weights[1:-2]) == {0.1}
    batch = padded([(ids, weights), (ids[:3], weights[:3])])
    assert batch.ids.shape == batch.weights.shape == (2, len(ids))
    assert (batch.ids[1, 3:] == 1).all()
    assert not batch.weights[1, 3:].any()


def test_the_model_is_general_and_knows_nothing_of_the_medicine(loaded: tuple[Any, Any]) -> None:
    values = scores(*loaded, "test", num_items=40)
    assert values["generality"] >= 0.65
    assert values["speciality"] <= 0.45


@pytest.mark.slow
def test_plain_fine_tuning_gains_speciality_loses_generality_and_a_point_between_is_better_than_the_end(
    loaded: tuple[Any, Any],
) -> None:
    model, tokenizer = loaded
    curve = line(model, fine_tuned(model, tokenizer, Plain(), 0), tokenizer, alphas=(0, 0.75, 1))
    assert curve[0]["commonsense"] >= 0.7
    assert curve[0]["reasoning"] >= 0.5
    assert 0.2 <= curve[0]["speciality"] <= 0.35
    assert curve[1]["speciality"] - curve[0]["speciality"] >= 0.20
    assert curve[0]["generality"] - curve[1]["generality"] >= 0.08
    between, end = (curve[alpha]["speciality"] + curve[alpha]["generality"] for alpha in (0.75, 1))
    assert between >= end + 0.03
