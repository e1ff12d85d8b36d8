"""Pairs of context and continuation -> their log-likelihoods as others compute them, and the seconds at the best batch
size."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from lm_peers import synchronise
from torch import Tensor

Pairs = Sequence[tuple[list[int], list[int]]]
"""Token ids."""


@torch.inference_mode()
def by_plain_forward(lm: Any, pairs: Pairs, batch: int) -> list[float]:
    """Padded batches, the longest pairs first, and the logits of all tokens."""
    device = next(lm.parameters()).device
    order = sorted(range(len(pairs)), key=lambda i: -len(pairs[i][0]) - len(pairs[i][1]))
    sums: list[Tensor] = []
    for first in range(0, len(order), batch):
        part = [pairs[i] for i in order[first : first + batch]]
        rows = [context + continuation for context, continuation in part]
        longest = max(map(len, rows))
        tokens = torch.tensor([row + [1] * (longest - len(row)) for row in rows]).to(device)
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]).to(device)
        logs = lm(input_ids=tokens, attention_mask=mask).logits.float().log_softmax(-1)
        for at, (context, continuation) in enumerate(part):
            where = torch.arange(len(context) - 1, len(context) + len(continuation) - 1, device=device)
            sums.append(logs[at, where, torch.tensor(continuation, device=device)].sum())
    found = dict(zip(order, torch.stack(sums).tolist(), strict=True))
    return [found[i] for i in range(len(pairs))]


def by_hflm(lm: Any, tokenizer: Any, pairs: Pairs, batch: int) -> list[float]:
    """The same by lm-eval's own class; raises ImportError without lm-eval."""
    from lm_eval.models.huggingface import HFLM

    requests = [((f"{i}", ""), context, continuation) for i, (context, continuation) in enumerate(pairs)]
    longest = lm.config.max_position_embeddings
    peer = HFLM(pretrained=lm, tokenizer=tokenizer, batch_size=batch, max_length=longest)
    return [float(value) for value, _ in peer._loglikelihood_tokens(requests, disable_tqdm=True)]


def best_seconds(score: Callable[[int], Any], batches: Sequence[int]) -> tuple[int, float]:
    """The fastest of the batch sizes, and its seconds."""
    score(batches[0])  # warms up
    seconds = {}
    for batch in batches:
        synchronise()
        began = time.perf_counter()
        score(batch)
        synchronise()
        seconds[batch] = time.perf_counter() - began
    best = min(seconds, key=lambda batch: seconds[batch])
    return best, seconds[best]
