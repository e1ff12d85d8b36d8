"""Prompts -> greedy answers as others write them, in padded batches."""

from collections.abc import Sequence
from typing import Any

import torch


@torch.inference_mode()
def by_plain_generate(lm: Any, prompts: Sequence[Sequence[int]], batch: int, most: int) -> list[list[int]]:
    """transformers' `generate`, the longest prompts first; the tokens of each answer."""
    device = next(lm.parameters()).device
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    found: dict[int, list[int]] = {}
    for first in range(0, len(order), batch):
        part = order[first : first + batch]
        longest = len(prompts[part[0]])
        tokens = torch.tensor([[1] * (longest - len(prompts[i])) + list(prompts[i]) for i in part]).to(device)
        mask = torch.tensor([[0] * (longest - len(prompts[i])) + [1] * len(prompts[i]) for i in part]).to(device)
        made = lm.generate(input_ids=tokens, attention_mask=mask, max_new_tokens=most, do_sample=False, pad_token_id=1)
        found |= dict(zip(part, made[:, longest:].tolist(), strict=True))
    return [found[i] for i in range(len(prompts))]


def generate_by_hflm(lm: Any, tokenizer: Any, prompts: Sequence[str], batch: int, most: int) -> list[str]:
    """The texts of the answers by lm-eval's own class; raises ImportError without lm-eval."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    settings = {"until": [], "max_gen_toks": most, "do_sample": False}
    requests = [
        Instance(request_type="generate_until", doc={}, arguments=(prompt, settings), idx=number)
        for number, prompt in enumerate(prompts)
    ]
    peer = HFLM(pretrained=lm, tokenizer=tokenizer, batch_size=batch, max_length=lm.config.max_position_embeddings)
    answers: list[str] = peer.generate_until(requests, disable_tqdm=True)
    return answers
