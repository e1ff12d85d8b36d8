"""A CLIP in shards over two ranks trains like whole weights in one process, with every head, method and penalty."""

import copy
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from ranks import run_ranks
from tiny_clip import random_pixels, save_clip, task
from torch import Tensor, nn

from rayforget.errors import FoundationError
from rayforget.foundations.clip.classes import ClassVectors
from rayforget.foundations.clip.config import ClipFoundation
from rayforget.foundations.clip.heads import build_module
from rayforget.foundations.clip.learner import ClipLearner
from rayforget.foundations.clip.model import ClipModel, load_clip
from rayforget.foundations.clip.names import HEAD
from rayforget.space.recipe import LoraAdapter, Recipe
from rayforget.train.loop import Snapshot, train
from rayforget.train.penalties.kd import Distillation
from rayforget.train.penalties.l1 import L1Penalty
from rayforget.train.penalties.l1_coupled import CoupledL1Penalty
from rayforget.train.penalties.l2 import L2Penalty
from rayforget.train.penalties.l2_coupled import CoupledL2Penalty
from rayforget.train.sharding import blocks_of, shard

HEADS = ("frozen", "trained", "text")
CLASSES = ("dog", "house", "a guitar")
FRACTIONS = (1 / 3, 1.0)
LORA = LoraAdapter(rank=2)
KD = Distillation(kind="kd", strength=1.0, temperature=2.0)
PROXIMAL = (L1Penalty(kind="l1", strength=0.1), L2Penalty(kind="l2", strength=20.0))
COUPLED = (CoupledL1Penalty(kind="l1_coupled", strength=1e-3), CoupledL2Penalty(kind="l2_coupled", strength=1.0))
METHODS: dict[str, dict[str, Any]] = {
    "full": {},
    "kd_proximal": {"penalties": (KD, *PROXIMAL), "accumulation": 2, "gradient_checkpointing": True},
    "coupled": {"penalties": COUPLED},
    "lora": {"adapter": LORA},
    "lora_kd_coupled": {"adapter": LORA, "penalties": (KD, *COUPLED)},
}


def recipe_of(head: str, **settings: Any) -> Recipe:
    common: dict[str, Any] = {"method": "m", "learning_rate": 1e-3, "epochs": 2, "batch_size": 4, "seed": 0}
    return Recipe.model_validate({**common, "head": head, **settings})


@cache
def model_of(folder: Path) -> tuple[ClipModel, ClassVectors]:
    model = load_clip(ClipFoundation(kind="clip", model=f"local-dir:{folder}"), torch.device("cpu"))
    return model, ClassVectors(model)


def learner_of(folder: Path, recipe: Recipe) -> ClipLearner:
    """Thirteen images in three classes; one template, since ranks draw different ones of several."""
    model, vectors = model_of(folder)
    speciality = task("s", CLASSES, templates=("a photo of a {}.",))
    classifier = vectors.of_theta_0(speciality)
    assert recipe.head is not None
    return ClipLearner(
        model,
        build_module(model, recipe.head, classifier, gradient_checkpointing=recipe.gradient_checkpointing),
        random_pixels(13, len(CLASSES)),
        task=speciality,
        augmentation="none",
        initial=initial_of(folder, recipe),
        tokens=vectors.tokens(speciality) if recipe.head == "text" else None,
    )


def initial_of(folder: Path, recipe: Recipe) -> dict[str, Tensor]:
    model, vectors = model_of(folder)
    classifier = vectors.of_theta_0(task("s", CLASSES, templates=("a photo of a {}.",)))
    return {**model.theta_0, **({HEAD: classifier} if recipe.head == "trained" else {})}


def run(folder: Path, recipe: Recipe, *, sharded: bool, **more: Any) -> list[Snapshot]:
    torch.set_num_threads(1)
    learner = learner_of(folder, recipe)
    return list(train(learner, recipe, seed=1, fractions=FRACTIONS, sharded=sharded, save_every_s=1e9, **more))


def train_all(folder: Path) -> None:
    found, rounded = {}, {}
    for head in HEADS:
        for name, settings in METHODS.items():
            states: list[Any] = []
            found[head, name] = run(
                folder / "model",
                recipe_of(head, **settings),
                sharded=True,
                save=lambda state, into=states: into.append(copy.deepcopy(state)),
            )
            if dist.get_rank() == 0:
                torch.save(states[0], folder / f"{head}-{name}.pt")
        bf16 = recipe_of(head, precision="bf16", penalties=(KD,))
        for sharded in (False, True):
            (*_, rounded[head, sharded]) = run(folder / "model", bf16, sharded=sharded)
    if dist.get_rank() == 0:
        torch.save((found, rounded), folder / "sharded.pt")


def travel_apart(first: Snapshot, second: Snapshot, theta_0: Mapping[str, Tensor]) -> float:
    """|theta_1 - theta_1'| / |theta_1 - theta_0|, without the biases of keys.

    A softmax does not change when all its logits change alike, so the gradient of these biases is 0 except for
    rounding, and Adam moves them by its sign.
    """
    apart = moved = 0.0
    for name, start in theta_0.items():
        there, other = first.theta_1[name], second.theta_1[name]
        rows = torch.ones(len(start) if start.ndim else 1, dtype=torch.bool)
        if name.endswith("attn.in_proj_bias"):
            rows[len(start) // 3 : 2 * len(start) // 3] = False
        apart += float((there - other).reshape(len(rows), -1)[rows].square().sum())
        moved += float((there - start).reshape(len(rows), -1)[rows].square().sum())
    assert moved > 0
    return (apart / moved) ** 0.5


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_ranks_of_shards_train_as_one_process_which_can_go_on(tmp_path: Path) -> None:
    save_clip(tmp_path / "model")
    run_ranks(2, tmp_path, train_all)
    sharded: dict[tuple[str, str], list[Snapshot]]
    sharded, rounded = torch.load(tmp_path / "sharded.pt", weights_only=False)
    assert len(sharded) == len(HEADS) * len(METHODS)
    for (head, name), two in sharded.items():
        recipe, state = recipe_of(head, **METHODS[name]), torch.load(tmp_path / f"{head}-{name}.pt", weights_only=False)
        one = run(tmp_path / "model", recipe, sharded=False)
        gone_on = run(tmp_path / "model", recipe, sharded=False, resume=state)[-1]
        assert gone_on.facts["resumed_from"] == 2
        for alone, together in [*zip(one, two, strict=True), (gone_on, two[-1])]:
            # The coupled L1 pushes by the sign of theta - theta_0, which is rounding if a gradient is 0.
            loose = name == "coupled"
            loss = pytest.approx(together.facts["loss"], rel=2e-4 if loose else 5e-6)
            assert alone.facts["loss"] == loss, (head, name)
            apart = travel_apart(alone, together, initial_of(tmp_path / "model", recipe))
            assert apart < (1e-3 if loose else 2e-4), (head, name)
    for head in HEADS:  # bf16 rounds differently if a batch is divided: shards against whole weights on two ranks
        theta_0 = initial_of(tmp_path / "model", recipe_of(head))
        assert travel_apart(rounded[head, False], rounded[head, True], theta_0) < 1e-4


TOWERS = [
    ("frozen", {}, {"visual.transformer.resblocks": 2}),
    ("text", {}, {"clip.visual.transformer.resblocks": 2, "clip.transformer.resblocks": 2}),
    (
        "text",
        {"custom_text": True},
        {"clip.visual.transformer.resblocks": 2, "clip.text.transformer.resblocks": 2},
    ),
]


@pytest.mark.parametrize(("head", "fields", "lists"), TOWERS, ids=["image", "both", "both, text apart"])
def test_every_block_of_every_tower_that_trains_is_a_shard_of_its_own(
    tmp_path: Path, head: str, fields: dict[str, Any], lists: dict[str, int]
) -> None:
    save_clip(tmp_path, **fields)
    module = learner_of(tmp_path, recipe_of(head)).module
    names = {id(part): name for name, part in module.named_modules()}
    found = [names[id(block)] for block in blocks_of(module)]
    assert sorted(found) == sorted(f"{stack}.{number}" for stack, count in lists.items() for number in range(count))


def test_layers_in_a_sequence_are_blocks_and_those_inside_of_blocks_are_not() -> None:
    def block() -> nn.Module:
        return nn.ModuleDict({"experts": nn.ModuleList([nn.Sequential(nn.Linear(2, 2), nn.ReLU()) for _ in range(5)])})

    stages = nn.Sequential(block(), block())
    head = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    tables = nn.ModuleList([nn.Embedding(3, 2), nn.Embedding(3, 2)])
    module = nn.ModuleDict({"stages": stages, "head": head, "tables": tables, "one": nn.ModuleList([block()])})
    assert [id(found) for found in blocks_of(module)][:2] == [id(part) for part in stages]
    assert len(blocks_of(nn.ModuleDict({"head": head, "tables": tables}))) == 0


def test_a_single_number_that_is_trained_is_refused_with_what_to_write(tmp_path: Path) -> None:
    save_clip(tmp_path)
    module = learner_of(tmp_path, recipe_of("text")).module
    module.clip.logit_scale.requires_grad_(True)
    with pytest.raises(FoundationError, match=r"clip.logit_scale is a single number .* resources.sharding: none"):
        shard(module, torch.device("cpu"))
