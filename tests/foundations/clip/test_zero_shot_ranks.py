"""Several processes over gloo give the same as one process."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from ranks import run_ranks
from tiny_clip import random_pixels, save_clip, task

from rayforget.evaluate.finite import NotFinite
from rayforget.foundations.clip.classes import ClassVectors
from rayforget.foundations.clip.heads import build_module
from rayforget.foundations.clip.model import load_clip
from rayforget.foundations.clip.names import is_text_name
from rayforget.foundations.clip.scoring.scorer import ZeroShotScorer

WORLD_SIZE = 2
CPU = torch.device("cpu")
TASKS = {
    "speciality": task("speciality", ("dog", "house", "guitar"), role="speciality", group=None),
    "one item": task("one item", ("red", "green")),
    "others": task("others", ("red",)),  # fewer classes than ranks
}
PIXELS = {name: random_pixels(count, TASKS[name].num_classes) for name, count in zip(TASKS, (21, 1, 4), strict=True)}


def scored(root):
    """Results of theta_0 and of a model whose two towers differ, then of one that is not finite."""
    torch.set_num_threads(1)
    model, other = (load_clip(save_clip(root / str(seed), seed=seed), CPU) for seed in (0, 1))
    scorer = ZeroShotScorer(
        model,
        ClassVectors(model),
        TASKS,
        lambda name, split: PIXELS[name],
        speciality="speciality",
        head="text",
        batch_size=4,
    )
    towers = {name: x for name, x in other.theta_0.items() if is_text_name(name) or name.startswith("visual.")}
    scores = scorer.score([{}, towers], "val")
    broken = {"visual.proj": towers["visual.proj"] * torch.inf}
    assert scorer.score([broken], "val") == [NotFinite(items={"speciality": 21, "one item": 1, "others": 4})]
    return [{name: score.items.tolist() for name, score in each.items()} for each in scores]


def gradients(root):
    """Norms of every trained parameter's gradient, per head, through DDP if there are several ranks."""
    model = load_clip(save_clip(root, seed=0), CPU)
    vectors = ClassVectors(model)
    result = {}
    for head in ("frozen", "trained", "text"):
        module = build_module(model, head, vectors.of_theta_0(TASKS["speciality"]), gradient_checkpointing=False)
        images = torch.randn(4, 3, 24, 24, generator=torch.Generator().manual_seed(0))
        inputs = {"images": images}
        if head == "text":
            inputs["tokens"] = vectors.tokens(TASKS["speciality"])[:, 0]
        wrapped = module
        if dist.is_initialized():
            wrapped = torch.nn.parallel.DistributedDataParallel(module, broadcast_buffers=False)
            inputs["images"] = images[dist.get_rank() :: WORLD_SIZE]
        wrapped(**inputs).logsumexp(1).mean().backward()
        result[head] = {name: p.grad.norm() for name, p in module.named_parameters() if p.grad is not None}
    return result


def run_rank(root):
    rank = dist.get_rank()
    torch.save((scored(root / str(rank)), gradients(root / str(rank))), root / f"{rank}.pt")


@pytest.mark.slow
def test_ranks_together_give_on_every_rank_what_one_process_gives(tmp_path: Path):
    run_ranks(WORLD_SIZE, tmp_path, run_rank)
    alone, alone_gradients = scored(tmp_path / "alone"), gradients(tmp_path / "alone")
    for rank in range(WORLD_SIZE):
        together, together_gradients = torch.load(tmp_path / f"{rank}.pt")
        assert together == alone
        for head, norms in alone_gradients.items():
            assert together_gradients[head].keys() == norms.keys()
            for name, norm in norms.items():
                torch.testing.assert_close(together_gradients[head][name], norm, rtol=1e-4, atol=1e-6)
