"""Small language models with random weights and real architectures, in the hub's folder format, with tokenizers."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch

TEXT = "the a doctor dog garden said that into ran and small is fever of sun what which it tree cures not"
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
VOCABULARY = 512

ARCHITECTURES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "opt": (
        "OPTConfig",
        {
            "hidden_size": 32,
            "ffn_dim": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 64,
            "word_embed_proj_dim": 32,
            "dropout": 0.1,
        },
    ),
    "opt_350m": (  # post-norm, and an embedding narrower than the layers
        "OPTConfig",
        {
            "hidden_size": 32,
            "ffn_dim": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 64,
            "word_embed_proj_dim": 16,
            "do_layer_norm_before": False,
        },
    ),
    "llama": (
        "LlamaConfig",
        {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 64,
        },
    ),
    "gpt_neox": (
        "GPTNeoXConfig",
        {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "max_position_embeddings": 64,
        },
    ),
    "qwen2": (
        "Qwen2Config",
        {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 64,
            "tie_word_embeddings": True,
        },
    ),
}


def save_lm(
    folder: Path,
    architecture: str,
    *,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    galactica: bool = False,
    positions: int | None = None,
) -> Path:
    """Writes model and tokenizer; `galactica`: only config.json names special tokens, the tokenizer names none."""
    import transformers

    name, settings = ARCHITECTURES[architecture]
    settings = settings if positions is None else {**settings, "max_position_embeddings": positions}
    config = getattr(transformers, name)(
        vocab_size=VOCABULARY, bos_token_id=0, pad_token_id=1, eos_token_id=2, **settings
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(config)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3 if parameter.ndim > 1 else 0.1)
    model.to(dtype).save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))
    named = {} if galactica else {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **named}))
    return folder


@cache
def tokenizer() -> Any:
    """Byte-level BPE that puts nothing before a text, as in OPT here and in Galactica."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE(unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator([TEXT] * 3, trainer)
    return made
