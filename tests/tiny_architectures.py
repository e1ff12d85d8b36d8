"""Every causal language model of the installed transformers, made tiny by one rule: sizes by what settings are called.

A configuration's defaults are those of a published model. Every whole number of it, and of those nested in it, is cut
to what its name says it counts; what an architecture then refuses is tried with a few other settings.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import torch
from torch import nn

VOCABULARY = 512
MOST_WEIGHTS = 4_000_000

_SIZES: Mapping[str, int] = {
    r"vocab_size|^n_vocab$|_vocab$": VOCABULARY,
    r"^(hidden_size|d_model|dim|n_embd|n_embed|lru_width|embed_dim|dim_model|embedding_size)$": 32,
    r"^(hidden_dim|emb_dim|word_embed_proj_dim|input_embedding_size|embedding_dim|projection_dim)$": 32,
    r"hidden_size_per_layer_input|mm_embed_dim|_hidden_size$": 32,
    r"intermediate_size|ffn|n_inner|^d_ff$|feed_?forward|^d_inner$|dim_ff|mlp_dim|mlp_hidden": 48,
    r"^(num_hidden_layers|n_layers?|num_layers|(num_)?(de|en)coder_layers|num_blocks|depth)$": 2,
    r"num_key_value|num_kv_heads|num_attention_groups": 2,
    r"head_dim|rotary_dim|head_size|kv_channels|d_head|headdim|^d_kv$|query_pre_attn_scalar": 8,
    r"heads?$|^n_head": 4,
    r"lora_rank|(^|_)rank$": 8,
    r"position|max_seq|n_ctx|context_length|seq_len|seqlen": 64,
    r"first_k_dense_replace|n_groups?$|topk_group": 1,
    r"experts_per|num_selected|top_?k|moe_k$": 2,
    r"experts$": 4,
    r"num_kv_shared_layers": 0,
    r"state_size|ssm_state|d_state": 8,
    r"image_size": 28,
    r"patch_size": 14,
}
"""What a setting's name says -> the most that it may be; the first that fits."""
_LAYERS = re.compile(r"layer_types?$|block_types?$|layers_block_type")
_ALWAYS: Mapping[str, Any] = {
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "is_decoder": True,  # BERT's family
    "final_logit_softcapping": 1.5,
    "logits_scaling": 4.0,
}
_TRIED: tuple[Mapping[str, Any], ...] = (
    {"head_dim": 8},
    {"num_key_value_heads": 4},
    {"num_heads": 8},
    {"mamba_d_head": 16, "attn_layer_indices": [1]},
    {"mamba_d_head": 16, "layer_types": ["mamba", "attention"]},
    {"mamba_d_head": 16},
    {"attn_layer_offset": 1, "attn_layer_period": 2},
    {"mamba_d_ssm": 64, "mamba_d_head": 16},
    {"n_routed_experts": 4},
    {"num_key_value_heads": 4, "n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2},
    {"mamba_n_heads": 8},
    {"n_head": 4, "d_head": 8},
    {"axial_pos_embds_dim": (8, 24), "axial_pos_shape": (8, 8)},
    {"layer_types": ["conv", "full_attention"]},
    {"layer_types": ["sliding_attention", "full_attention"]},
    {"layer_types": ["mamba", "hybrid"], "num_hidden_layers": 2},
    {"num_hidden_layers": 4},
    {"attention_types": [[["global", "local"], 1]]},
    {"hidden_size_per_layer_input": 0},
)
"""Settings that are tried one after another where an architecture refuses its sizes."""


@cache
def architectures() -> tuple[str, ...]:
    """`model_type` of every configuration that `AutoModelForCausalLM` knows."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return tuple(sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))


def tiny_model(architecture: str) -> nn.Module:
    """A model with at most `MOST_WEIGHTS` random weights, large enough for answers to differ from text to text.

    Raises:
        Exception: the architecture's own reason why its defaults, made tiny, could not be built or run.
    """
    from transformers import AutoConfig

    default = AutoConfig.for_model(architecture)
    first: Exception | None = None
    for more in _attempts(default):
        try:
            config = type(default)(**_cut(default) | more)
            _count(config)
            return _built(config)
        except Exception as error:
            first = first or error
    assert first is not None
    raise first


@torch.no_grad()
def _built(config: Any) -> nn.Module:
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: nn.Module = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.eval()(input_ids=torch.arange(4, 16)[None])
    return model


def _attempts(default: Any) -> Iterator[dict[str, Any]]:
    names = {field.name for field in dataclasses.fields(default)}
    known = [settings for settings in _TRIED if settings.keys() <= names]
    yield {}
    yield from map(dict, known)


def _cut(config: Any) -> dict[str, Any]:
    """The settings of a configuration that are to differ from its defaults."""
    found: dict[str, Any] = {}
    names = {field.name for field in dataclasses.fields(config)}
    for name in sorted(names & vars(config).keys() | names & _ALWAYS.keys()):
        value = vars(config).get(name)
        if name in _ALWAYS:
            found[name] = _ALWAYS[name]
        elif isinstance(value, int) and not isinstance(value, bool):
            most = next((most for pattern, most in _SIZES.items() if re.search(pattern, name)), None)
            if most is not None and value > most:
                found[name] = most
        elif isinstance(value, list) and _LAYERS.search(name) and all(isinstance(each, str) for each in value):
            found[name] = _each_kind(value)
        elif hasattr(value, "to_dict") and hasattr(value, "model_type"):
            found[name] = {**_cut(value), "model_type": value.model_type}
    return found


def _each_kind(layers: list[str]) -> list[str]:
    """Two layers or more: one of each kind, in order."""
    kinds = list(dict.fromkeys(layers))
    return kinds if len(kinds) > 1 else [*kinds, *kinds]


def _count(config: Any) -> None:
    """Builds the model without values.

    Raises:
        ValueError: it has too many weights.
    """
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    count, (largest, name) = 0, max((weight.numel(), name) for name, weight in model.named_parameters())
    count = sum(weight.numel() for weight in model.parameters())
    if count > MOST_WEIGHTS:
        raise ValueError(f"{count:,} weights remain, {largest:,} of them in {name}")
