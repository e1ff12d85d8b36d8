"""Pairs of context and continuation -> seconds of scoring them as lm-eval's HFLM does, at its best batch size."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from lm_peers import synchronise
from torch import Tensor

Pairs = Sequence[tuple[list[int], list[int]]]


def plain_seconds(lm: Any, tokenizer: Any, pairs: Pairs, batches: Sequence[int]) -> tuple[int, float]:
    """The best batch size and its seconds, by padded batches of the longest first and the logits of all tokens."""
    ordered = sorted(pairs, key=lambda pair: -len(pair[0]) - len(pair[1]))
    device = next(lm.parameters()).device

    @torch.inference_mode()
    def score(batch: int) -> list[float]:
        found: list[Tensor] = []
        for first in range(0, len(ordered), batch):
            part = ordered[first : first + batch]
            rows = [context + continuation for context, continuation in part]
            longest = max(map(len, rows))
            tokens = torch.tensor([row + [1] * (longest - len(row)) for row in rows]).to(device)
            mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]).to(device)
            logs = lm(input_ids=tokens, attention_mask=mask).logits.float().log_softmax(-1)
            for at, (context, continuation) in enumerate(part):
                where = torch.arange(len(context) - 1, len(context) + len(continuation) - 1, device=device)
                right = torch.tensor(continuation, device=device)
                found.append(logs[at, where, right].sum())
        return torch.stack(found).tolist()

    return _best(score, batches)


def hflm_seconds(lm: Any, tokenizer: Any, pairs: Pairs, batches: Sequence[int]) -> tuple[int, float]:
    """The same by lm-eval's own class; raises ImportError without lm-eval."""
    from lm_eval.models.huggingface import HFLM

    requests = [(("", ""), context, continuation) for context, continuation in pairs]

    def score(batch: int) -> Any:
        peer = HFLM(pretrained=lm, tokenizer=tokenizer, batch_size=batch, max_length=lm.config.max_position_embeddings)
        return peer._loglikelihood_tokens(requests, disable_tqdm=True)

    return _best(score, batches)


def _best(score: Callable[[int], Any], batches: Sequence[int]) -> tuple[int, float]:
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
