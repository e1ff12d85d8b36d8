"""Several processes over gloo give the same as one process."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from ranks import run_ranks
from tiny_clip import random_pixels, save_clip, task

from rayforget.evaluate.finite import NotFinite
from rayforget.foundations.clip.classes import ClassVectors
from rayforget.foundations.clip.heads import build_module, build_pairs
from rayforget.foundations.clip.model import load_clip
from rayforget.foundations.clip.names import is_text_name
from rayforget.foundations.clip.scoring.scorer import ZeroShotScorer
from rayforget.tasks.images.captions import captions_of
from rayforget.tasks.resolved import Retrieval

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


def recalls(root):
    """Whether images find their captions, and captions their images."""
    model = load_clip(save_clip(root, seed=0), CPU)
    pixels = random_pixels(13, 6)
    captions = captions_of(["a dog", "a cat\na dog", "red", "green\nblue", "a tree", "a house"], pixels.labels)
    tasks = {
        way: replace(TASKS["others"], name=way, retrieval=Retrieval(direction=way, k=2))
        for way in ("image_to_text", "text_to_image")
    }
    scorer = ZeroShotScorer(
        model,
        ClassVectors(model),
        {**TASKS, **tasks},
        lambda name, split: PIXELS.get(name, pixels),
        lambda name, split: captions,
        speciality="speciality",
        head="text",
        batch_size=4,
    )
    (scores,) = scorer.score([{}], "val")
    return {way: scores[way].items.tolist() for way in tasks}


def contrastive_gradients(root):
    """Of the contrastive loss of six pairs, which the ranks share: every image is compared with all texts."""
    model = load_clip(save_clip(root, seed=0), CPU)
    module = build_pairs(model, gradient_checkpointing=False)
    images = torch.randn(6, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    tokens = model.tokenizer([f"the number {i}" for i in range(6)])
    mine, ranks = (slice(None), 1)
    wrapped = module
    if dist.is_initialized():
        ranks = WORLD_SIZE
        mine = slice(dist.get_rank() * 3, dist.get_rank() * 3 + 3)
        wrapped = torch.nn.parallel.DistributedDataParallel(module, broadcast_buffers=False)
    targets = torch.arange(6)[mine].repeat(2)
    logits = wrapped(images=images[mine], tokens=tokens[mine])
    (torch.nn.functional.cross_entropy(logits, targets, reduction="sum") * ranks).backward()
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def run_rank(root):
    own = root / str(dist.get_rank())
    torch.save((scored(own), gradients(own), recalls(own), contrastive_gradients(own)), f"{own}.pt")


@pytest.mark.slow
def test_ranks_together_give_on_every_rank_what_one_process_gives(tmp_path: Path):
    run_ranks(WORLD_SIZE, tmp_path, run_rank)
    own = tmp_path / "alone"
    alone, alone_gradients = scored(own), gradients(own)
    alone_recalls, of_pairs = recalls(own), contrastive_gradients(own)
    for rank in range(WORLD_SIZE):
        together, together_gradients, together_recalls, shared = torch.load(tmp_path / f"{rank}.pt")
        assert together == alone
        assert together_recalls == alone_recalls
        assert shared.keys() == of_pairs.keys()
        for name, gradient in of_pairs.items():
            torch.testing.assert_close(shared[name], gradient, rtol=1e-4, atol=1e-4)
        for head, norms in alone_gradients.items():
            assert together_gradients[head].keys() == norms.keys()
            for name, norm in norms.items():
                torch.testing.assert_close(together_gradients[head][name], norm, rtol=1e-4, atol=1e-6)
