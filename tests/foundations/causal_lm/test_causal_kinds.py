"""Kinds of language models: nested configurations, positions that look at a batch, noise, unembedded tokens."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from test_causal_apart import _load, _recipe
from tiny_language import MIXED
from tiny_lm import VOCABULARY, save_lm

from rayforget.errors import FoundationError, TaskError
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.model import CausalLm, load_causal_lm
from rayforget.foundations.causal_lm.prepared import PreparedCausalLm, with_tasks
from rayforget.foundations.causal_lm.scoring.generation import _portions
from rayforget.foundations.causal_lm.scoring.likelihood import log_likelihoods, prepare_rows
from rayforget.interpolate.hashing import state_hash
from rayforget.space.recipe import LoraAdapter
from rayforget.space.tasks.text import InstructionTask, JsonLinesSource, Sequences
from rayforget.tasks.text.resolve import resolve_text_tasks
from rayforget.train.trainer import Trainer

CPU = torch.device("cpu")
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
}


def _gemma3(*, sees: bool, **text: Any) -> Any:
    inner = transformers.Gemma3TextConfig(**SIZES, head_dim=8, query_pre_attn_scalar=8, sliding_window=4, **text)
    if not sees:
        return inner
    vision = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"image_size": 28, "patch_size": 14, "model_type": "siglip_vision_model"}
    ids = {"image_token_index": 500, "boi_token_index": 501, "eoi_token_index": 502}
    return transformers.Gemma3Config(text_config=inner.to_dict(), vision_config=vision, mm_tokens_per_image=4, **ids)


def _phi3(original: int) -> Any:
    rotary = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
    rotary |= {"original_max_position_embeddings": original}
    return transformers.Phi3Config(**SIZES, original_max_position_embeddings=original, rope_parameters=rotary)


def _phimoe() -> Any:
    noise = {"input_jitter_noise": 0.1, "router_jitter_noise": 0.01}
    return transformers.PhimoeConfig(**SIZES, num_local_experts=4, num_experts_per_tok=2, **noise)


def _gpt2() -> Any:
    return transformers.GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64)


def _scores(model: CausalLm, batch_tokens: int = 512) -> np.ndarray:
    batches = prepare_rows(model, MIXED, batch_tokens=batch_tokens)
    return log_likelihoods(model, {}, batches, num_pairs=len(MIXED.continuations)).log_likelihoods


def _alone(model: CausalLm, number: int) -> float:
    tokens = torch.from_numpy(MIXED.tokens[MIXED.starts[number] : MIXED.starts[number + 1]]).long()
    with torch.no_grad():
        log_p = model.head.lm(input_ids=tokens[None, :-1]).logits[0].log_softmax(-1)
    return float(log_p.gather(1, tokens[1:, None])[MIXED.continuations[number] - 1 :].sum())


def _prepared(
    model: CausalLm, folder: Path, texts: tuple[str, ...] = ("a dog", "the sun", "a cat")
) -> PreparedCausalLm:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps({"instruction": text, "output": "dog"}) + "\n" for text in texts))
    source = JsonLinesSource(kind="jsonl", path=path)
    tasks = resolve_text_tasks({"t": InstructionTask(kind="instruction", role="speciality", train=source)})
    return with_tasks(model, Sequences(), tasks, cache=folder / "cache", batch_tokens=512)


def test_a_model_that_also_sees_scores_texts_as_its_language_model_alone(tmp_path: Path) -> None:
    sees = _load(tmp_path / "sees", _gemma3(sees=True))
    alone = _load(tmp_path / "alone", _gemma3(sees=False))
    for name, tensor in alone.theta_0.items():
        tensor.copy_(sees.theta_0[name.replace("model.", "model.language_model.", 1)])
    assert (sees.max_length, sees.keeps_apart) == (alone.max_length, alone.keeps_apart) == (64, False)
    np.testing.assert_allclose(_scores(sees), _scores(alone), atol=1e-4)


def test_dropout_is_off_wherever_it_hides_and_only_what_reads_texts_is_trained(tmp_path: Path) -> None:
    model = _load(tmp_path / "m", _gemma3(sees=True, attention_dropout=0.5))
    module = _prepared(model, tmp_path).learner(_recipe()).module
    inputs = {"tokens": torch.tensor([[4, 8, 15]]), "positions": torch.arange(3)[None]}
    torch.testing.assert_close(module(**inputs), module(**inputs), atol=0, rtol=0)
    trained = {name for name, p in module.named_parameters() if p.requires_grad}
    assert trained
    assert not any("vision" in name or "projector" in name for name in trained)


@pytest.mark.parametrize("batch_tokens", [16, 64, 4096])
def test_positions_that_look_at_the_batch_score_every_pair_as_alone(tmp_path: Path, batch_tokens: int) -> None:
    model = _load(tmp_path / "m", _phi3(16))
    lengths = np.diff(MIXED.starts) - 1
    assert model.switch == 16
    assert (lengths <= 16).any()
    assert (lengths > 16).any()
    expected = [_alone(model, number) for number in range(len(MIXED.continuations))]
    np.testing.assert_allclose(_scores(model, batch_tokens), expected, atol=1e-3)


def test_texts_on_both_sides_of_the_switch_are_not_trained_on_together(tmp_path: Path) -> None:
    model = _load(tmp_path / "m", _phi3(32))
    _prepared(model, tmp_path, ("a dog", "a cat")).learner(_recipe())
    with pytest.raises(FoundationError, match=r"1 of 2 training sequences are longer than 32 tokens.*length: 32"):
        _prepared(model, tmp_path, ("a dog", "a " * 20)).learner(_recipe())
    prompts = [np.zeros(length, dtype=np.int32) for length in (20, 18, 10, 5, 4)]
    found = _portions(prompts, [4] * 5, batch_tokens=999, cache_tokens=999, max_length=64, switch=16)
    assert found == [[0, 1], [2, 3, 4]]
    crossing = _portions(prompts, [8] * 5, batch_tokens=999, cache_tokens=999, max_length=64, switch=16)
    assert crossing == [[0, 1], [2], [3, 4]]


def test_positions_scaled_by_what_was_asked_before_are_refused(tmp_path: Path) -> None:
    rotary = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0, "original_max_position_embeddings": 16}
    with pytest.raises(FoundationError, match=r"\(dynamic\) are scaled anew.*scored_length: 16"):
        _load(tmp_path / "m", transformers.LlamaConfig(**SIZES, rope_parameters=rotary))


@pytest.mark.parametrize("config", [_phimoe, _gpt2, lambda: _gemma3(sees=True, attention_dropout=0.3)])
@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_equal_trainings_give_equal_weights_whatever_was_drawn_before(
    tmp_path: Path, config: Any, adapter: str
) -> None:
    model = _load(tmp_path / "m", config())
    recipe = _recipe().model_copy(update={"batch_size": 3, "epochs": 2, "learning_rate": 1e-2})
    if adapter == "lora":
        recipe = recipe.model_copy(update={"adapter": LoraAdapter(rank=2)})
    hashes = set()
    for seed in (1, 2):
        torch.manual_seed(seed)
        trainer = Trainer(_prepared(model, tmp_path).learner(recipe), recipe, seed=0)
        for _ in range(2):
            trainer.take_step()
        hashes.add(state_hash(trainer.theta_1()))
    assert len(hashes) == 1
    assert model.theta_0_hash not in hashes


def test_a_model_whose_decoder_has_another_name_answers_as_its_own(tmp_path: Path) -> None:
    sizes = SIZES | {"intermediate_size_mlp": 48, "num_local_experts": 2, "head_dim": 8}
    model = _load(tmp_path / "m", transformers.Llama4TextConfig(**sizes))
    np.testing.assert_allclose(_scores(model), [_alone(model, n) for n in range(len(MIXED.continuations))], atol=1e-3)


def test_a_model_without_fused_attention_scores_as_its_own(tmp_path: Path) -> None:
    model = _load(tmp_path / "m", transformers.BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4))
    np.testing.assert_allclose(_scores(model), [_alone(model, n) for n in range(len(MIXED.continuations))], atol=1e-3)


def test_only_texts_with_tokens_beyond_the_embedding_are_refused(tmp_path: Path) -> None:
    known = len(
        load_causal_lm(CausalLmFoundation(kind="causal_lm", model=str(save_lm(tmp_path, "opt"))), CPU).tokenizer
    )
    folder = tmp_path / "m"
    _load(folder, transformers.LlamaConfig(**SIZES | {"vocab_size": known}))
    tokens = json.loads((folder / "tokenizer.json").read_text())
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    tokens["added_tokens"].append({"id": known, "content": "<PRE>", "special": True, **flags})
    (folder / "tokenizer.json").write_text(json.dumps(tokens))
    model = load_causal_lm(CausalLmFoundation(kind="causal_lm", model=str(folder)), CPU)
    _prepared(model, tmp_path).learner(_recipe())
    with pytest.raises(TaskError, match=rf"use token {known}, '<PRE>', and the model embeds only {known}"):
        _prepared(model, tmp_path, ("a dog", "a <PRE> dog")).learner(_recipe())
