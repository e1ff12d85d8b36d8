"""The real model gives the known figures on real images, and a model of full size goes the whole way."""

import shutil
import tempfile
from pathlib import Path

import open_clip
import pytest
import torch
from tiny_clip import save_clip

from rayforget.foundations.clip.config import ClipFoundation
from rayforget.foundations.clip.prepared import prepare_clip
from rayforget.interpolate.hashing import state_hash
from rayforget.interpolate.lerp import changed_tensors
from rayforget.space.recipe import Recipe
from rayforget.space.tasks.data import FolderSource, ZeroShotTask
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


def few_images(shared, folder):
    """A task with one photograph per class and split, seven in all."""
    sources = {}
    for split in ("train", "val", "test"):
        for classes in sorted((shared / "data/pacs64" / split / "photo").iterdir()):
            (folder / split / classes.name).mkdir(parents=True)
            shutil.copy(min(classes.iterdir()), folder / split / classes.name)
        sources[split] = FolderSource(kind="folder", path=folder / split)
    return resolve_tasks({"photo": ZeroShotTask(kind="zero_shot", role="speciality", templates=TEMPLATES, **sources)})


@pytest.fixture(scope="module")
def vit_b_32():
    """Uses a folder of its own, since pytest would keep its 600 MB for three sessions."""
    config = open_clip.get_model_config("ViT-B-32")
    with tempfile.TemporaryDirectory() as folder:
        yield save_clip(
            Path(folder), vision=config["vision_cfg"], text=config["text_cfg"], embed_dim=config["embed_dim"]
        )


@pytest.mark.slow
@pytest.mark.parametrize("head", ["frozen", "trained", "text"])
def test_vit_b_32_of_random_weights_loads_learns_and_is_scored(shared, tmp_path, head, vit_b_32):
    tasks = few_images(shared, tmp_path / "images")
    prepared = prepare_clip(vit_b_32, tasks, cache=tmp_path, device=torch.device("cpu"), evaluation_batch=16)
    learner = prepared.learner(recipe(head, gradient_checkpointing=True))
    optimiser = torch.optim.SGD([p for p in learner.module.parameters() if p.requires_grad], lr=1e-3)
    batch = learner.batch(torch.arange(4), torch.Generator().manual_seed(0))
    assert batch.inputs["images"].shape == (4, 3, 224, 224)
    loss = torch.nn.functional.cross_entropy(learner.module(**batch.inputs), batch.targets)
    loss.backward()
    optimiser.step()
    assert torch.isfinite(loss)
    theta_1 = changed_tensors(prepared.initial(recipe(head)), learner.canonical(learner.module.state_dict()))
    assert {name.split(".")[0] for name in theta_1} >= {"visual"}
    assert state_hash(prepared.theta_0) == prepared.theta_0_hash
    for scores in prepared.scorer(recipe(head)).score([{}, theta_1], "val"):
        assert scores["photo"].count == 7
