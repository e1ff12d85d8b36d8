"""Several processes over gloo give the same as one process, to the last bit."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from ranks import run_ranks
from tiny_language import (
    MIXED,
    NO_PAIRS,
    TEXTS,
    greedy_pairs,
    likely_pairs,
    moved,
    prompts_of,
    random_pairs,
    tiny_language_model,
)

from rayforget.evaluate.finite import NotFinite
from rayforget.foundations.causal_lm.scoring.scorer import LanguageScorer

WORLD_SIZE = 2
NAME = "model.decoder.final_layer_norm.weight"
TASKS = {
    "greedy": greedy_pairs(MIXED),
    "likely": likely_pairs(MIXED),
    "one item": likely_pairs(random_pairs([(3, [2])])),  # fewer than ranks
    "answers": dataclasses.replace(
        greedy_pairs(NO_PAIRS),
        generations=prompts_of(TEXTS),
        judge=lambda found, texts: (np.array([hash_of(text) for text in texts], dtype=np.float32), None),
    ),
}


def hash_of(text):
    return sum(text.encode()) % 1000


def scored():
    """Results of two models, then of one that is not finite."""
    torch.set_num_threads(1)
    model = tiny_language_model()
    requests = {name: lambda split, made=made: made for name, made in TASKS.items()}
    scorer = LanguageScorer(model, requests, batch_tokens=40)
    *sound, broken = scorer.score([{}, moved(model), {NAME: model.theta_0[NAME] * torch.nan}], "val")
    assert isinstance(broken, NotFinite)
    return [{name: score.items.tolist() for name, score in each.items()} for each in sound], broken.items


def run_rank(root):
    rank = dist.get_rank()
    torch.save(scored(), root / f"{rank}.pt")


@pytest.mark.slow
def test_ranks_together_give_on_every_rank_what_one_process_gives(tmp_path: Path):
    run_ranks(WORLD_SIZE, tmp_path, run_rank)
    alone = scored()
    for rank in range(WORLD_SIZE):
        assert torch.load(tmp_path / f"{rank}.pt") == alone
