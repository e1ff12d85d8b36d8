"""Answers equal transformers' own greedy generation, one prompt at a time."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_language import KINDS, NO_GENERATIONS, TEXTS, moved, prompts_of, tiny_language_model, tiny_tokenizer

from rayforget.errors import TaskError
from rayforget.foundations.causal_lm.scoring.generation import _portions, generate
from rayforget.tasks.text.types import Generations


def alone(model, prompt, max_new_tokens):
    """Tokens of one answer, by whole forwards without a cache, up to an end token."""
    tokens = torch.from_numpy(prompt).long()[None]
    answer = []
    while len(answer) < max_new_tokens:
        with torch.no_grad():
            best = int(model.head.lm(tokens).logits[0, -1].argmax())
        if best == model.eos_token:
            break
        answer.append(best)
        tokens = torch.cat([tokens, torch.tensor([[best]])], dim=1)
    return answer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_tokens", [1, 10**4])
def test_an_answer_is_the_prompts_own_whatever_its_batch(kind, batch_tokens):
    model = tiny_language_model(kind)
    asked = prompts_of(TEXTS)
    found = generate(model, {}, asked, batch_tokens=batch_tokens)
    expected = [alone(model, prompt, 8) for prompt in asked.prompts]
    assert list(found.texts) == [tiny_tokenizer().decode(answer, skip_special_tokens=True) for answer in expected]
    assert found.finite.all()


def test_an_answer_ends_before_its_until_text_and_at_its_own_length():
    model = tiny_language_model()
    asked = prompts_of(TEXTS[:1], max_new_tokens=12)
    (prompt,) = asked.prompts
    pieces = [tiny_tokenizer().decode([token]) for token in alone(model, prompt, 12)]
    (whole,) = generate(model, {}, asked, batch_tokens=1).texts
    until = next(piece for piece in pieces[1:] if piece.isascii() and piece.strip())  # half a character is none
    several = Generations(
        prompts=[prompt] * 4,
        until=[(), (until,), ("", "not there", until), ()],
        max_new_tokens=[12, 12, 12, 1],
    )
    texts = generate(model, {}, several, batch_tokens=10**4).texts
    assert texts[0] == whole
    assert texts[1] == texts[2] == whole.split(until)[0]
    assert texts[3] == pieces[0]


def test_prompts_with_long_answers_beside_long_prompts_stay_within_the_model():
    model = tiny_language_model(positions=24)
    (prompt,) = prompts_of(TEXTS[2:3]).prompts
    asked = Generations(prompts=[prompt[:21], prompt[:4]], until=[(), ()], max_new_tokens=[3, 20])
    expected = [alone(model, prompt[:21], 3), alone(model, prompt[:4], 20)]
    texts = generate(model, {}, asked, batch_tokens=10**4).texts
    assert list(texts) == [tiny_tokenizer().decode(answer, skip_special_tokens=True) for answer in expected]


def test_an_end_token_ends_an_answer():
    model = tiny_language_model("neox")
    (prompt,) = prompts_of(TEXTS[:1]).prompts
    first, second, *_ = alone(model, prompt, 8)
    assert first != second
    rows = model.theta_0["lm_head.weight"].clone()
    rows[[second, model.eos_token]] = rows[[model.eos_token, second]]  # the end token takes the second one's place
    (text,) = generate(model, {"lm_head.weight": rows}, prompts_of(TEXTS[:1]), batch_tokens=100).texts
    assert text == tiny_tokenizer().decode([first])


def test_another_theta_answers_otherwise_and_theta_0_is_left_as_it_was():
    model = tiny_language_model()
    before = generate(model, {}, prompts_of(TEXTS), batch_tokens=1000).texts
    assert generate(model, moved(model, share=1.0), prompts_of(TEXTS), batch_tokens=1000).texts != before
    assert generate(model, {}, prompts_of(TEXTS), batch_tokens=1000).texts == before


def test_a_long_prompt_loses_its_beginning_to_make_room_for_the_answer():
    model = tiny_language_model(positions=24)
    (prompt,) = prompts_of(TEXTS[2:3]).prompts
    assert len(prompt) > 16
    (text,) = generate(model, {}, prompts_of(TEXTS[2:3]), batch_tokens=1).texts
    assert text == tiny_tokenizer().decode(alone(model, prompt[-16:], 8), skip_special_tokens=True)


def test_an_answer_without_room_for_a_prompt_is_refused():
    with pytest.raises(TaskError, match="the model takes 24"):
        generate(tiny_language_model(positions=24), {}, prompts_of(TEXTS, max_new_tokens=24), batch_tokens=1)


def test_logits_that_are_not_finite_are_told():
    model = tiny_language_model()
    name = "model.decoder.final_layer_norm.weight"
    broken = {name: torch.full_like(model.theta_0[name], torch.nan)}
    assert not generate(model, broken, prompts_of(TEXTS), batch_tokens=100).finite.any()


def test_no_prompts_have_no_answers():
    found = generate(tiny_language_model(), {}, NO_GENERATIONS, batch_tokens=100)
    assert found.texts == ()
    assert found.finite.shape == np.zeros(0).shape


def test_texts_are_looked_at_seldom_and_end_answers_at_the_same_token():
    """Tries every `until` that the answer holds, wherever it stands between two searches."""
    model = tiny_language_model("llama")
    (prompt,) = prompts_of(TEXTS[:1]).prompts
    tokens = alone(model, prompt, 30)
    whole = tiny_tokenizer().decode(tokens, skip_special_tokens=True)
    untils = sorted({whole[place : place + size] for size in (1, 2, 3) for place in range(len(whole) - size)})
    untils = [until for until in untils if "\ufffd" not in until][:40]
    assert len(untils) > 10
    asked = Generations(
        prompts=[prompt] * len(untils),
        until=[(until,) for until in untils],
        max_new_tokens=[30] * len(untils),
    )
    found = generate(model, {}, asked, batch_tokens=10**5).texts
    assert list(found) == [whole.split(until)[0] for until in untils]


def counted(monkeypatch):
    """Counts decoded texts, and the rows of each call of transformers' generate."""
    calls = {"decoded": 0, "rows": []}
    cls = type(tiny_tokenizer())
    decode = cls.decode
    monkeypatch.setattr(
        cls, "decode", lambda *a, **k: (calls.__setitem__("decoded", calls["decoded"] + 1), decode(*a, **k))[1]
    )
    return calls


def test_an_end_token_as_until_costs_no_looking(monkeypatch):
    model = tiny_language_model("llama")
    asked = prompts_of(TEXTS, until=("</s>", ""), max_new_tokens=24)
    calls = counted(monkeypatch)
    generate(model, {}, asked, batch_tokens=10**4)
    assert calls["decoded"] == len(TEXTS)  # the answers themselves


def test_a_batch_is_bounded_by_its_prompts_and_by_the_memory_of_its_keys_and_values():
    prompts = [np.ones(10, dtype=np.int32)] * 9
    portions = {
        (batch, cache): [
            len(p) for p in _portions(prompts, [90] * 9, batch_tokens=batch, cache_tokens=cache, max_length=200)
        ]
        for batch, cache in ((1, 10**6), (90, 10**6), (90, 500), (300, 100), (40, 10**6))
    }
    assert portions == {
        (1, 10**6): [1] * 9,
        (90, 10**6): [9],
        (90, 500): [5, 4],
        (300, 100): [3, 3, 3],
        (40, 10**6): [4, 4, 1],
    }


@pytest.mark.parametrize("rule", [{"no_repeat_ngram_size": 1}, {"repetition_penalty": 50.0}])
def test_padding_is_no_text_to_the_rules_of_a_models_own_configuration(rule):
    """Both look at all tokens so far, and padding must not keep a row from answering with its token."""
    model = tiny_language_model()
    asked = prompts_of(TEXTS)
    shortest = min(asked.prompts, key=len)
    with torch.no_grad():
        logits = model.head.lm(torch.from_numpy(shortest).long()[None]).logits[0, -1]
    logits[torch.from_numpy(shortest).long()] = -torch.inf
    model = replace(model, pad_token=int(logits.argmax()))
    for name, value in rule.items():
        setattr(model.head.lm.generation_config, name, value)
    together = generate(model, {}, asked, batch_tokens=10**4).texts
    assert list(together) == [generate(model, {}, prompts_of([text]), batch_tokens=1).texts[0] for text in TEXTS]


def test_answers_searched_by_beams_are_refused():
    model = tiny_language_model()
    model.head.lm.generation_config.num_beams = 3
    with pytest.raises(TaskError, match=r"generation_config.json asks for num_beams: 3, and only greedy"):
        generate(model, {}, prompts_of(TEXTS), batch_tokens=10**4)
