"""Models with ways of their own: capped, scaled and deeper heads, state spaces, tokens that look ahead."""

import dataclasses
import logging
from pathlib import Path

import pytest
import torch
import transformers
from architecture_matrix import COLUMNS, MismatchError, Tried, row_of
from tiny_architectures import tiny_model
from tiny_lm import VOCABULARY

from rayforget.errors import FoundationError
from rayforget.foundations.causal_lm.head import CausalHead
from rayforget.foundations.causal_lm.own_head import own_layers

SMALL = {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.mark.parametrize("architecture", ["gemma2", "granite", "roberta"])
def test_logits_that_are_more_than_a_product_are_the_model_s_own_everywhere(tmp_path: Path, architecture: str) -> None:
    """A cap, a scale, and further layers; Gemma 2 has eager attention too, and RoBERTa counts positions from 2."""
    row = row_of(architecture, tmp_path)
    assert row.done == list(COLUMNS), row.why
    assert row.own_head
    assert row.packed == (architecture != "roberta")


def test_a_cap_is_found_though_small_weights_never_come_near_it() -> None:
    sizes = SMALL | {"intermediate_size": 24, "head_dim": 8, "num_key_value_heads": 1}
    tokens = torch.arange(4)[None]
    for cap, expected in ((30.0, ("lm_head",)), (None, None)):
        lm = transformers.Gemma2ForCausalLM(transformers.Gemma2Config(**sizes, final_logit_softcapping=cap)).eval()
        features = CausalHead(lm)(tokens=tokens).detach()
        torch.testing.assert_close(lm.lm_head(features), lm(input_ids=tokens).logits[0], atol=1e-4, rtol=1e-4)
        assert own_layers(lm, tokens, features) == expected


@pytest.mark.parametrize("cap", [30.0, None])
def test_a_cap_is_found_though_the_model_s_base_cannot_be_replaced(cap: float | None) -> None:
    sizes = SMALL | {"intermediate_size": 24, "head_dim": 8, "num_key_value_heads": 1}
    lm = transformers.Gemma2ForCausalLM(transformers.Gemma2Config(**sizes, final_logit_softcapping=cap)).eval()
    tokens = torch.arange(4)[None]
    features = CausalHead(lm)(tokens=tokens).detach()
    lm.get_decoder = None  # type: ignore[method-assign,assignment]
    if cap is None:
        assert own_layers(lm, tokens, features) is None
    else:
        with pytest.raises(ValueError, match="piece by piece: TypeError"):
            own_layers(lm, tokens, features)


def test_a_head_whose_logits_are_not_made_of_its_features_is_refused() -> None:
    lm = transformers.OPTForCausalLM(transformers.OPTConfig(**SMALL, ffn_dim=24, word_embed_proj_dim=16)).eval()
    tokens = torch.arange(4)[None]
    features = CausalHead(lm)(tokens=tokens).detach()
    with pytest.raises(ValueError, match="not made of its last hidden state"):
        own_layers(lm, tokens, features.flip(0))


@pytest.mark.parametrize("architecture", ["bert", "xlnet"])
def test_models_whose_tokens_see_later_ones_are_refused(tmp_path: Path, architecture: str) -> None:
    lm = tiny_model(architecture)
    lm.config.is_decoder = False  # type: ignore[union-attr]
    with pytest.raises(FoundationError, match=r"beginning depends on what follows.*is_decoder: true"):
        Tried(lm, tmp_path)


@pytest.mark.parametrize(("architecture", "packed"), [("mamba", RuntimeError), ("rwkv", MismatchError)])
def test_state_spaces_are_trained_unpacked_and_packed_ones_would_mix_texts(
    tmp_path: Path, architecture: str, packed: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        tried = Tried(tiny_model(architecture), tmp_path)
    assert "every sequence gets a row of its own" in caplog.text
    tried.kd()  # losses are those of each text alone
    tried.model = dataclasses.replace(tried.model, keeps_apart=True)
    with pytest.raises(packed, match=r"first loss|must match"):
        tried.kd()
