"""The real model on real images, and a model of full size: the figures that are known, and that nothing breaks."""

import time

import pytest
import torch
from tiny_clip import save_clip

from rayforget.foundations.clip_prepared import prepare_clip
from rayforget.interpolate.hashing import state_hash
from rayforget.space.data import FolderSource, ZeroShotTask
from rayforget.space.models import ClipFoundation
from rayforget.space.recipe import Recipe
from rayforget.tasks.resolve import resolve_tasks

TEMPLATES = tuple(f"a {kind} of a {{}}" for kind in ("photo", "painting", "cartoon", "sketch", "image"))
ZERO_SHOT_PERCENT = {"photo": 58.3, "art_painting": 35.3, "cartoon": 54.1, "sketch": 53.4}


def pacs(shared):
    """PACS photographs to learn, its other styles not to forget."""
    root = shared / "data/pacs64"

    def source(split, domain):
        return FolderSource(kind="folder", path=root / split / domain)

    tasks = {}
    for domain in ZERO_SHOT_PERCENT:
        learnt = domain == "photo"
        tasks[domain] = ZeroShotTask(
            kind="zero_shot",
            role="speciality" if learnt else "generality",
            group=None if learnt else "distribution",
            templates=TEMPLATES if learnt else None,
            train=source("train", domain) if learnt else None,
            val=source("val", domain),
            test=source("test", domain),
        )
    return resolve_tasks(tasks)


def recipe(head, **fields):
    base = {"method": "m", "head": head, "learning_rate": 1e-4, "epochs": 1, "batch_size": 64, "seed": 0}
    return Recipe(**(base | fields))


@pytest.mark.slow
def test_zero_shot_figures_of_clip_real_on_pacs(shared, tmp_path):
    spec = ClipFoundation(kind="clip", model=f"local-dir:{shared / 'data/clip_real'}")
    prepared = prepare_clip(spec, pacs(shared), cache=tmp_path, device=torch.device("cpu"), evaluation_batch=128)
    (scores,) = prepared.scorer(None).score([{}], "val")
    assert {name: round(100 * score.value, 1) for name, score in scores.items()} == ZERO_SHOT_PERCENT


@pytest.mark.slow
@pytest.mark.parametrize("head", ["frozen", "trained", "text"])
def test_full_size_model_loads_learns_and_is_scored(shared, tmp_path, head):
    vision = {"layers": 12, "width": 768, "patch_size": 32, "image_size": 224}
    text = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12}
    spec = save_clip(tmp_path / "ViT-B-32", vision=vision, text=text, embed_dim=512)
    tasks = {name: task for name, task in pacs(shared).items() if name in ("photo", "art_painting")}
    prepared = prepare_clip(spec, tasks, cache=tmp_path, device=torch.device("cpu"), evaluation_batch=16)
    learner = prepared.learner(recipe(head, gradient_checkpointing=True))
    optimiser = torch.optim.SGD([p for p in learner.module.parameters() if p.requires_grad], lr=1e-4)
    batch = learner.batch(torch.arange(4), torch.Generator().manual_seed(0))
    loss = torch.nn.functional.cross_entropy(learner.module(**batch.inputs), batch.targets)
    loss.backward()
    optimiser.step()
    assert torch.isfinite(loss)
    theta_1 = learner.canonical(learner.module.state_dict())
    assert state_hash(theta_1) != state_hash(prepared.initial(recipe(head)))
    assert state_hash(prepared.theta_0) == prepared.theta_0_hash
