"""Answers written with a cache of fixed size are those of transformers' `generate`, in few sizes."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_architectures import tiny_model
from tiny_language import CPU, KINDS, TEXTS, prompts_of, tiny_language_model, tiny_tokenizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from rayforget.evaluate.precision import run_in
from rayforget.foundations.causal_lm.head import CausalHead
from rayforget.foundations.causal_lm.rows import eighth_up
from rayforget.foundations.causal_lm.scoring import static_cache
from rayforget.foundations.causal_lm.scoring.cache_choice import keep_to_generate, takes_static_cache
from rayforget.foundations.causal_lm.scoring.ends import NOT_FINITE, OpenAnswer, Until
from rayforget.foundations.causal_lm.scoring.generation import generate
from rayforget.foundations.causal_lm.scoring.static_cache import Decoding
from rayforget.foundations.causal_lm.scoring.step_graph import CaptureError
from rayforget.tasks.text.types import Generations


def asked_of(lengths, limits, until=(), *, seed=0):
    """Prompts of noise."""
    random = np.random.default_rng(seed)
    return Generations(
        prompts=[random.integers(3, 300, length).astype(np.int32) for length in lengths],
        until=[until] * len(lengths),
        max_new_tokens=list(limits),
    )


MIXED = asked_of([3, 17, 9, 30, 1, 22, 12], [20, 5, 12, 20, 1, 8, 17])


def model_of(architecture):
    """A tiny model of any architecture, with the tokenizer of the others."""
    return replace(tiny_language_model(), head=CausalHead(tiny_model(architecture)), theta_0={}, config={})


def by_generate(model, asked):
    """The same by transformers' `generate`; the model keeps to it."""
    keep_to_generate(model, "to be compared")
    assert not takes_static_cache(model)
    return generate(model, {}, asked, batch_tokens=10**4)


def sizes_of(model, theta, asked, **settings):
    """(rows, tokens, columns) of every forward, in order, and the answers."""
    sizes = []

    def note(module, given, named):
        tokens = named["input_ids"]
        sizes.append((*tokens.shape, named["past_key_values"].get_max_length()))

    with torch.no_grad():
        handle = model.head.lm.register_forward_pre_hook(note, with_kwargs=True)
    try:
        assert takes_static_cache(model)
        sizes.clear()
        return generate(model, theta, asked, **settings), sizes
    finally:
        handle.remove()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("until", [(), ("e",), (" ", "a")])
def test_answers_are_those_of_transformers_generate(kind, until):
    model = tiny_language_model(kind)
    asked = replace(MIXED, until=[until] * len(MIXED.prompts))
    assert takes_static_cache(model)
    found = generate(model, {}, asked, batch_tokens=10**4)
    expected = by_generate(model, asked)
    assert found.texts == expected.texts
    assert (found.finite == expected.finite).all()


@pytest.mark.parametrize("architecture", ["bloom", "gpt2", "gptj", "mpt", "deepseek_v3", "cohere", "bert", "xglm"])
def test_many_architectures_take_a_cache_of_fixed_size(architecture):
    model = model_of(architecture)
    assert takes_static_cache(model)
    found = generate(model, {}, MIXED, batch_tokens=10**4)
    assert found.texts == by_generate(model, MIXED).texts
    assert len(set(found.texts)) > 3


class Operators(TorchDispatchMode):
    """Notes every operator with the shapes of its tensors and all other arguments."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        shown = tree_map(lambda x: (tuple(x.shape), x.dtype) if isinstance(x, torch.Tensor) else x, (args, kwargs))
        self.seen.append((str(func), repr(shown)))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("architecture", ["opt", "llama", "gpt_neox", "gpt2", "gemma2", "mistral", "qwen2_moe"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_can_be_captured(architecture, precision):
    """It asks the host nothing, does the same each time, and keeps its state where it is."""
    model = model_of(architecture)
    with torch.no_grad(), run_in(precision, CPU):  # operators made of others are seen as these
        decoding = Decoding(model.head.lm, MIXED.prompts, filler=1, most=20, device=CPU)
        steps, places = [], []
        for _ in range(4):
            with Operators() as operators:
                decoding.step()
            steps.append(operators.seen)
            places.append(places_of(decoding))
    names = {name for name, _ in steps[1]}
    assert not names & {
        f"aten.{each}.default" for each in ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "lift_fresh")
    }
    assert steps[1] == steps[2] == steps[3]
    assert places[1] == places[2] == places[3]


def places_of(decoding):
    """Where the state between two steps lies."""
    state = [each for each in vars(decoding).values() if isinstance(each, torch.Tensor) and each is not decoding.logits]
    of_layers = [(layer.keys, layer.values, layer.cumulative_length) for layer in decoding._cache.layers]
    return [each.data_ptr() for each in (*state, *sum(of_layers, ()))]


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_takes_it_too(kind):
    """Keys that were rotated are fp32 there, and values are not."""
    model = tiny_language_model(kind)
    with run_in("bf16", CPU):
        assert takes_static_cache(model)
        found, sizes = sizes_of(model, {}, MIXED, batch_tokens=10**4)
        assert len(sizes) == max(MIXED.max_new_tokens)
        expected = by_generate(model, MIXED)
    same = [mine == theirs for mine, theirs in zip(found.texts, expected.texts, strict=True)]
    assert sum(same) >= 5  # rounding may decide between tokens that are about as likely
    assert takes_static_cache(model)  # by_generate spoke of bf16 alone


@pytest.mark.parametrize("architecture", ["mistral", "gemma2", "gpt_oss"])
def test_sliding_windows_hide_what_lies_before_them(architecture, monkeypatch):
    monkeypatch.setattr("tiny_architectures._SIZES", {"sliding_window$": 6, **tiny_model.__globals__["_SIZES"]})
    model = model_of(architecture)
    assert model.head.lm.config.sliding_window == 6
    assert takes_static_cache(model)
    found = generate(model, {}, MIXED, batch_tokens=10**4)
    assert found.texts == by_generate(model, MIXED).texts


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [("mamba", "LinearAttentionLayer"), ("rwkv", "logits differ"), ("mvp", "logits differ")],  # mvp: counts padding
)
def test_a_model_that_takes_no_fixed_cache_answers_as_before_and_says_so(architecture, reason, caplog):
    model = model_of(architecture)
    asked = prompts_of(TEXTS)
    with caplog.at_level(logging.INFO, logger="rayforget"):
        generate(model, {}, asked, batch_tokens=10**4)
        generate(model, {}, asked, batch_tokens=10**4)
    (told,) = [record.message for record in caplog.records if "writes its answers" in record.message]
    assert "by transformers' generate" in told
    assert reason in told


def test_a_rule_of_the_models_configuration_is_left_to_transformers_generate(caplog):
    model = tiny_language_model()
    asked = prompts_of(TEXTS)
    lm, free = model.head.lm, generate(model, {}, asked, batch_tokens=10**4).texts
    lm.generation_config.suppress_tokens = list(range(100, 340))
    with caplog.at_level(logging.INFO, logger="rayforget"):
        assert not takes_static_cache(model)
    assert "suppress_tokens" in caplog.text
    held = generate(model, {}, asked, batch_tokens=10**4).texts
    assert held != free
    for prompt, text in zip(asked.prompts, held, strict=True):
        made = lm.generate(torch.from_numpy(prompt).long()[None], max_new_tokens=8, do_sample=False)
        assert text == tiny_tokenizer().decode(made[0, len(prompt) :], skip_special_tokens=True)
    lm.generation_config.suppress_tokens = None
    assert takes_static_cache(model)


def test_rows_that_are_done_leave_and_the_others_answer_as_alone():
    model = tiny_language_model("llama")
    asked = asked_of([5, 9, 7, 9, 4, 6, 8, 2, 11], [33, 2, 3, 30, 2, 12, 5, 1, 15])
    found, sizes = sizes_of(model, {}, asked, batch_tokens=10**4)
    rows = [size[0] for size in sizes]
    assert rows == sorted(rows, reverse=True)
    assert set(rows) == {9, 4, 2}
    assert len(rows) == 33
    for prompt, limit, text in zip(asked.prompts, asked.max_new_tokens, found.texts, strict=True):
        alone = Generations(prompts=[prompt], until=[()], max_new_tokens=[limit])
        assert generate(model, {}, alone, batch_tokens=1).texts == (text,)


def test_sizes_come_again():
    """However many lengths there are."""
    model = tiny_language_model(positions=256)
    random = np.random.default_rng(0)
    lengths = random.integers(20, 121, 60)
    asked = asked_of(lengths, [20 + int(length) % 7 for length in lengths])
    found, sizes = sizes_of(model, {}, asked, batch_tokens=1000)
    assert len(set(lengths.tolist())) > 35
    assert all(rows == eighth_up(rows) for rows, _, _ in sizes)
    assert all(columns == eighth_up(columns) and tokens == eighth_up(tokens) for _, tokens, columns in sizes)
    assert all(rows * tokens <= 1000 for rows, tokens, _ in sizes)
    prompts, steps = ({size for size in sizes if (size[1] > 1) == first} for first in (True, False))
    assert len(prompts) <= 10
    assert len(steps) <= 15
    _, again = sizes_of(model, {}, asked, batch_tokens=1000)
    assert again == sizes
    assert found.texts == by_generate(model, asked).texts


def test_rows_that_only_fill_a_batch_up_change_nothing():
    model = tiny_language_model("neox")
    asked = asked_of([2 + number % 11 for number in range(37)], [1 + 5 * number % 12 for number in range(37)])
    found, sizes = sizes_of(model, {}, asked, batch_tokens=10**4)
    assert sizes[0][0] == 40
    assert {size[0] for size in sizes} < {40, *range(1, 20)}
    assert found.texts == by_generate(model, asked).texts


def test_a_row_that_is_not_finite_is_told_and_spoils_no_other():
    model = tiny_language_model("llama")
    asked = asked_of([6, 9, 4], [12, 12, 12])
    before = generate(model, {}, asked, batch_tokens=10**4)
    own = next(token for token in asked.prompts[1] if token not in np.concatenate([asked.prompts[0], asked.prompts[2]]))
    broken = model.theta_0["model.embed_tokens.weight"].clone()
    broken[int(own)] = torch.nan
    found = generate(model, {"model.embed_tokens.weight": broken}, asked, batch_tokens=10**4)
    assert found.finite.tolist() == [True, False, True]
    assert [found.texts[0], found.texts[2]] == [before.texts[0], before.texts[2]]


def test_a_step_that_cannot_be_captured_leaves_the_model_to_transformers_generate(monkeypatch, caplog):
    model = tiny_language_model()
    expected = generate(model, {}, MIXED, batch_tokens=10**4).texts

    def refusing(step, device):
        left = iter(range(3))

        def taken():
            if next(left, None) is None:
                raise CaptureError("the step waits for the device")
            step()

        return taken

    monkeypatch.setattr(static_cache, "repeated", refusing)
    with caplog.at_level(logging.INFO, logger="rayforget"):
        assert generate(model, {}, MIXED, batch_tokens=10**4).texts == expected
    assert "generate: the step waits for the device" in caplog.text
    assert not takes_static_cache(model)


def test_an_open_answer_ends_once_and_for_all():
    until = Until(tiny_tokenizer(), (), [2])
    answer = OpenAnswer(until=until, end_tokens=frozenset({2}), limit=4)
    answer.extend([7, 8])
    assert (answer.tokens, answer.done) == ([7, 8], False)
    answer.extend([2, 9, NOT_FINITE])
    answer.extend([5])
    assert (answer.tokens, answer.done, answer.finite) == ([7, 8, 2], True, True)
    broken = OpenAnswer(until=until, end_tokens=frozenset({2}), limit=4)
    broken.extend([NOT_FINITE, 3])
    assert (broken.tokens, broken.done, broken.finite) == ([], True, False)
    full = OpenAnswer(until=until, end_tokens=frozenset({2}), limit=1)
    full.extend([3, 4])
    assert (full.tokens, full.done) == ([3], True)


def test_a_model_whose_layers_differ_answers_as_transformers_generate():
    """Gemma 4's configuration refuses to tell of all layers at once, so that their keys' size is not known."""
    model = model_of("gemma4_text")
    found = generate(model, {}, MIXED, batch_tokens=10**4)
    assert found.texts == by_generate(model, MIXED).texts
    assert len(set(found.texts)) > 3
