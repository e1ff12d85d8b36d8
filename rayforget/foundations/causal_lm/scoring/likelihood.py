"""A causal language model's weights and batches of rows -> the likelihood of each continuation after its context.

    log p(continuation | context) = sum over its tokens of log p(token | all before it)

Features are computed for whole rows, logits only for the tokens that predict a continuation's, piece by piece: (rows x
length x vocabulary) never exists. The softmax is in fp32, the sum over tokens in float64.

A log-likelihood depends on no other pair. Batch size, shared prefixes and the number of ranks change it only by
rounding (about 1e-6 per token); with equal batches it is the same to the last bit whatever the number of ranks.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.func import functional_call

from rayforget.distributed import all_reduce_sum, rank, world_size
from rayforget.evaluate.precision import finely
from rayforget.foundations.causal_lm.head import causal_mask
from rayforget.foundations.causal_lm.model import CausalLm
from rayforget.foundations.causal_lm.scoring.last_layer import last_layer
from rayforget.foundations.causal_lm.scoring.token_rows import RowBatch, row_batches
from rayforget.foundations.protocol import State
from rayforget.heartbeat import beating
from rayforget.tasks.text.types import PairResults, Pairs

LOGITS_AT_ONCE = {"cpu": 2**22, "cuda": 2**28}
"""By device. On a CPU 16 MiB in fp32: fits into a cache, and malloc reuses the same memory. On a GPU 1 GiB: few large
products, whose launches cost nothing."""


def prepare_rows(model: CausalLm, pairs: Pairs, *, batch_tokens: int) -> tuple[RowBatch, ...]:
    """Batches for `log_likelihoods`, made once for all weights of this model."""
    return row_batches(
        pairs,
        max_length=model.max_length,
        batch_tokens=batch_tokens,
        filler=model.pad_token,
        share_prefixes=model.keeps_apart,
        switch=model.switch,
    )


@torch.inference_mode()
def log_likelihoods(model: CausalLm, theta: State, batches: Sequence[RowBatch], *, num_pairs: int) -> PairResults:
    """Log-likelihoods of all pairs; the ranks share the batches, and every rank gets the whole result.

    Args:
        model: theta_0.
        theta: tensors that differ from theta_0, under canonical names.
        batches: from `prepare_rows`; the same on every rank.
        num_pairs: number of pairs in them.

    Returns:
        A pair whose logits are not finite has a log-likelihood that is not finite.
    """
    if num_pairs == 0:
        return PairResults(log_likelihoods=np.zeros(0), greedy=np.zeros(0, dtype=np.bool_))
    weights = model.weights(theta)
    output = _output_weights(model, weights)
    own = batches[rank() :: world_size()]
    heard = beating(own, "score texts", len(own))
    answers = [_answers(model, weights, output, batch) for batch in heard]  # read at the end: no wait
    results = np.zeros((2, num_pairs))
    for batch, (log_p, hit) in zip(own, answers, strict=True):
        for row, values in zip(results, (log_p.cpu().numpy(), ~hit.cpu().numpy()), strict=True):
            row += np.bincount(batch.pairs, weights=values.astype(np.float64), minlength=num_pairs)
    log_p, misses = all_reduce_sum(torch.from_numpy(results).to(model.device)).cpu().numpy()
    return PairResults(log_likelihoods=log_p, greedy=misses == 0)


def _answers(
    model: CausalLm, weights: dict[str, Tensor], output: dict[str, Tensor], batch: RowBatch
) -> tuple[Float[Tensor, " t"], Bool[Tensor, " t"]]:
    """Per target its log-probability, and whether no token is more likely.

    Args:
        model: theta_0.
        weights: all tensors that differ.
        output: those of the output layer, under its own names, since the pieces need no others.
        batch: the rows to evaluate.
    """
    features = _features(model, weights, batch).float()
    targets = batch.targets.to(model.device)
    log_p, hits = [], []
    maker: Any = model.head.output
    most = LOGITS_AT_ONCE["cpu" if model.device.type == "cpu" else "cuda"]
    step = max(1, most // int(maker.out_features))
    for first in range(0, len(targets), step):
        wanted = targets[first : first + step, None]
        with finely(model.device):
            logits: Tensor = functional_call(maker, output, features[first : first + step])
        log_p.append(logits.float().log_softmax(dim=-1).gather(1, wanted).squeeze(1))
        hits.append(logits.argmax(dim=-1) == wanted.squeeze(1))
    return torch.cat(log_p), torch.cat(hits)


def _output_weights(model: CausalLm, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The output layer's tensors among `weights`; one tied to the embedding is found under the embedding's name."""
    names = {id(tensor): name for name, tensor in model.head.named_parameters()}
    found = {own: names[id(tensor)] for own, tensor in model.head.output.named_parameters()}
    return {own: weights[name] for own, name in found.items() if name in weights}


def _features(model: CausalLm, weights: dict[str, Tensor], batch: RowBatch) -> Float[Tensor, "t d"]:
    """The features at each target's source."""
    device = model.device
    columns, sources = batch.columns.to(device), batch.sources.to(device)
    inputs: dict[str, Tensor] = {"tokens": batch.tokens.to(device)}
    if batch.positions is not None and batch.sequences is not None and batch.branches is not None:
        inputs["positions"] = batch.positions.to(device)
        inputs["mask"] = causal_mask(batch.sequences.to(device), batch.branches.to(device))
    features: Tensor
    last = last_layer(model.head)
    if last is None:
        first = torch.arange(len(columns), device=device)[:, None] * batch.tokens.shape[1]
        inputs["sources"] = (columns + first).flatten()[sources]
        features = functional_call(model.head, weights, kwargs=inputs)
    else:
        with last.only(columns):
            features = functional_call(model.head, weights, kwargs={**inputs, "sources": sources})
    return features
