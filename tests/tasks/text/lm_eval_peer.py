"""lm-eval itself, for comparison: its HFLM with its requests noted, and a model made of hashes."""

import zlib
from typing import Any

from lm_eval.api.model import LM
from lm_eval.models.huggingface import HFLM


class NotingHFLM(HFLM):
    """Notes (context, continuation) ids, cut as HFLM cuts them, and answers nothing of use."""

    def __init__(self, model: Any, tokenizer: Any, max_length: int) -> None:
        super().__init__(pretrained=model, tokenizer=tokenizer, max_length=max_length, device="cpu", batch_size=1)
        self.noted: list[tuple[list[int], int]] = []

    def _loglikelihood_tokens(self, requests: Any, **_: Any) -> list[tuple[float, bool]]:
        for _, context, continuation in requests:
            read = (context + continuation)[-(self.max_length + 1) :]
            self.noted.append((read, len(read) - len(continuation)))
        return [(0.0, False)] * len(requests)


def hashed(*texts: str) -> float:
    """A log-likelihood in quarters, so that ties are common."""
    return -(zlib.crc32("|".join(texts).encode()) % 12) / 4 - 1


class HashedLM(LM):
    """Log-likelihoods and answers that depend only on the texts."""

    def __init__(self, answers: tuple[str, ...] = ("a", "b")) -> None:
        super().__init__()
        self.answers = answers

    def loglikelihood(self, requests: Any) -> list[tuple[float, bool]]:
        return [(hashed(*each.args), hashed(*each.args) > -2) for each in requests]

    def loglikelihood_rolling(self, requests: Any) -> list[float]:
        return [hashed(each.args[0]) for each in requests]

    def generate_until(self, requests: Any) -> list[str]:
        return [self.answers[zlib.crc32(each.args[0].encode()) % len(self.answers)] for each in requests]


def tiny_opt(vocab_size: int, positions: int = 64) -> Any:
    """A random OPT of a few thousand parameters."""
    import torch
    from transformers import OPTConfig, OPTForCausalLM

    torch.manual_seed(0)
    config = OPTConfig(
        vocab_size=vocab_size,
        hidden_size=8,
        word_embed_proj_dim=8,
        ffn_dim=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        max_position_embeddings=positions,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return OPTForCausalLM(config).eval()
