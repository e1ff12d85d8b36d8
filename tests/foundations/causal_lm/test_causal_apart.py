"""Models whose layers mix the tokens of a row by other means than masked attention are detected, and never packed."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_language import MIXED
from tiny_lm import ARCHITECTURES, VOCABULARY, save_lm

from rayforget.foundations.causal_lm.apart import keeps_apart
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.learner import CausalLearner
from rayforget.foundations.causal_lm.model import CausalLm, load_causal_lm
from rayforget.foundations.causal_lm.prepared import with_tasks
from rayforget.foundations.causal_lm.scoring.likelihood import log_likelihoods, prepare_rows
from rayforget.space.file.load import load_space
from rayforget.space.methods import methods_of
from rayforget.space.tasks.text import InstructionTask, JsonLinesSource, Sequences
from rayforget.tasks.text.resolve import resolve_text_tasks

CPU = torch.device("cpu")


def _lfm2() -> Any:  # a convolution in its first layer
    import transformers

    return transformers.Lfm2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        layer_types=["conv", "full_attention"],
    )


def _load(folder: Path, config: Any) -> CausalLm:
    import transformers

    save_lm(folder, "opt")  # the tokenizer
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config)
    for name in ("bos", "pad", "eos"):
        setattr(model.config, f"{name}_token_id", {"bos": 0, "pad": 1, "eos": 2}[name])
    model.save_pretrained(folder)
    return load_causal_lm(CausalLmFoundation(kind="causal_lm", model=str(folder)), CPU)


def test_what_mixes_sequences_is_found_when_it_is_loaded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        model = _load(tmp_path, _lfm2())
    assert not model.keeps_apart
    (line,) = [record.message for record in caplog.records if "a row of its own" in record.message]
    assert "features of packed rows differ by" in line


def test_its_pairs_are_scored_as_each_alone(tmp_path: Path) -> None:
    model = _load(tmp_path, _lfm2())
    batches = prepare_rows(model, MIXED, batch_tokens=64)
    assert all(batch.positions is None for batch in batches)
    found = log_likelihoods(model, {}, batches, num_pairs=len(MIXED.continuations))
    for number, context in enumerate(MIXED.continuations):
        tokens = torch.from_numpy(MIXED.tokens[MIXED.starts[number] : MIXED.starts[number + 1]]).long()
        with torch.no_grad():
            log_p = model.head.lm(tokens[None, :-1]).logits[0].log_softmax(-1)
        expected = float(log_p.gather(1, tokens[1:, None])[context - 1 :].sum())
        np.testing.assert_allclose(found.log_likelihoods[number], expected, atol=1e-3)


def test_it_is_trained_unpacked_and_the_record_says_so(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"instruction": "a " * n, "output": "dog"}) + "\n" for n in (1, 2, 3, 30)))
    source = JsonLinesSource(kind="jsonl", path=path)
    tasks = resolve_text_tasks({"t": InstructionTask(kind="instruction", role="speciality", train=source)})
    for place, (config, packed) in enumerate(((_lfm2(), 0), (_opt(), 1))):
        model = _load(tmp_path / str(place), config)
        prepared = with_tasks(model, Sequences(packing=True), tasks, cache=tmp_path / "cache", batch_tokens=512)
        learner = prepared.learner(_recipe())
        assert isinstance(learner, CausalLearner)
        assert learner.facts["packing"] == packed
        batch = learner.batch(torch.arange(4), torch.Generator())
        assert ("mask" in batch.inputs) == bool(packed)


def _opt() -> Any:
    import transformers

    return transformers.OPTConfig(vocab_size=VOCABULARY, **ARCHITECTURES["opt"][1])


def _recipe() -> Any:
    space = load_space(Path(__file__).parents[3] / "search_spaces" / "lm_quickstart.yaml").space
    method = next(method for method in methods_of(space) if method.name == "full")
    values = {
        path: domain.choice[0] if hasattr(domain, "choice") else domain.low for path, domain in method.domains.items()
    }
    return method.recipe(values, seed=0)


@pytest.mark.parametrize(
    ("settings", "apart"),
    [
        ({}, True),
        ({"sliding_window": 64}, True),
        ({"sliding_window": 63}, False),
        ({"sliding_window": 8, "use_sliding_window": False}, True),
        ({"attention_chunk_size": 32}, False),
        ({"window_size": 32}, False),
    ],
)
def test_a_window_shorter_than_a_sequence_is_known_by_its_name(tmp_path: Path, settings: Any, apart: bool) -> None:
    model = load_causal_lm(CausalLmFoundation(kind="causal_lm", model=str(save_lm(tmp_path, "opt"))), CPU)
    assert model.keeps_apart
    assert keeps_apart(model.head, settings, longest=64) is apart


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_models_of_attention_alone_keep_sequences_apart(tmp_path: Path, architecture: str) -> None:
    folder = save_lm(tmp_path, architecture)
    assert load_causal_lm(CausalLmFoundation(kind="causal_lm", model=str(folder)), CPU).keeps_apart
