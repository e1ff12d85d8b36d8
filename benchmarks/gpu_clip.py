"""CLIP on a device: trainings beside a bare loop, an alpha curve beside a bare forward."""

import copy
from collections.abc import Callable
from math import nan
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from gpu_models import clip_folder, write_images
from gpu_profile import profile_work
from gpu_run import (
    Run,
    chosen_by,
    counted,
    mean_seconds,
    open_equipment,
    precision_of,
    recipe_of,
    scoring_s,
    timed_training,
    trial,
)
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from rayforget.foundations.protocol import Learner
from rayforget.train.trainer import Trainer
from rayforget.trial.equipment import Equipment

_BARE, _PLAIN, _COMPILED = "bare loop, data on the device", "ours, none", "compile"
_EWC = {"kind": "ewc", "strength": 1.0, "data": {"task": "others", "split": "val"}, "samples": 64}
_VARIANTS: tuple[tuple[str, dict[str, Any], str, float, bool], ...] = (
    ("none", {}, _BARE, 0.97, True),
    ("flip", {"augmentation": "flip"}, _BARE, 0.97, True),
    ("crop", {"augmentation": "crop"}, _BARE, 0.95, True),
    ("L1", {"penalties": [{"kind": "l1", "strength": 0.01}]}, _PLAIN, 0.97, True),
    ("LoRA 16", {"adapter": {"kind": "lora", "rank": 16}}, _PLAIN, 1.15, True),
    ("L2", {"penalties": [{"kind": "l2", "strength": 10.0}]}, _PLAIN, 0.97, False),
    ("EWC", {"penalties": [_EWC]}, _PLAIN, 0.97, False),
    ("KD", {"penalties": [{"kind": "kd", "strength": 1.0}]}, _PLAIN, 0.7, False),
    (_COMPILED, {"compile": True}, _BARE, 1.15, False),
)
"""Name, changes of the recipe, beside what, at least what ratio, whether an early look has it."""
_ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)


def clip_train(run: Run) -> None:
    """Images per second of each kind of training."""
    batch, steps, skipped = run.sizes.image_batch, run.steps(16, 12), 2 if run.toy else 4
    equipment = _open(run, trained=steps * batch, scored=2 * run.sizes.classes)
    rates: dict[str, float] = {}
    with run.attempt("bare loop"):
        rates[_BARE] = batch / mean_seconds(bare_step(run, equipment), times=steps - skipped, warm=skipped)
        run.row("bare loop", rates[_BARE], "images/s")
    for name, changes, peer, target, early in _VARIANTS:
        if run.early and not early:
            continue
        if name == _COMPILED:  # last, since compiling may take all the time that is left
            with run.attempt("WiSE-FT's loop"):
                theirs = batch / mean_seconds(wise_ft_step(run, equipment), times=steps - skipped, warm=skipped)
                beside = "WiSE-FT's loop, the same uint8 images"
                run.row("none", rates.get(_PLAIN, nan), "images/s", peer=beside, theirs=theirs, target=1.3)
            if run.toy:
                continue
        with run.attempt(name):
            recipe = recipe_of(equipment, **changes)
            timed = timed_training(equipment, recipe, steps=steps, skipped=skipped, within_s=30)
            rate = batch / timed.step_s
            if name == "none":
                rates[_PLAIN] = rate
            run.row(name, rate, "images/s", peer=peer, theirs=rates.get(peer), target=target)
        if name == "none":
            with run.attempt("profile"):
                recipe = recipe_of(equipment)
                trainer = Trainer(equipment.foundation.learner(recipe), recipe, seed=0)
                profile_work(run, "training step", trainer.take_step)
                del trainer


def clip_score(run: Run) -> None:
    """Images per second and model of a curve, and the seconds of one over 50,000 images."""
    images = 8 * run.sizes.classes if run.toy else 2048 if run.early else 4096
    equipment = _open(run, trained=2 * run.sizes.image_batch, scored=images)
    theirs = nan
    with run.attempt("bare forward"):
        theirs = _bare_forward(run, equipment)
        run.row("bare forward, bf16 weights", theirs, "images/s")
    for number in range(2):  # the first settles what is settled once per sweep
        record = trial(equipment, number)
        if number == 0:
            run.row("the first curve", scoring_s(record), "s")
    print(f"scored in {precision_of(record)}: {chosen_by(equipment)}", flush=True)
    models, seconds = len(_ALPHAS) - 1, scoring_s(record)
    peer = "bare forward, bf16 weights"
    run.row("each model", models * images / seconds, "images/s", peer=peer, theirs=theirs, target=0.9)
    whole = seconds * 10 / models * 50_000 / images
    run.row(f"11 α of 50,000 images (by {models} over {images}; α = 0 is known)", whole, "s", target=62, at_most=True)
    with run.attempt("profile"):
        profile_work(run, "a training of two steps and its curve", counted(equipment, 2), times=1, warm=0)


def _open(run: Run, *, trained: int, scored: int) -> Equipment:
    folder = run.folder / run.part

    def images(split: str, count: int, seed: int) -> dict[str, str]:
        return {"kind": "folder", "path": str(write_images(folder / split, count, run.sizes, seed))}

    test = images("test", run.sizes.classes, 0)
    common = {"kind": "zero_shot", "test": test, "templates": ["a photo of a {}"]}
    photos = {"train": images("train", trained, 1), "val": images("val", scored // 2, 2)}
    recipe = {"head": "frozen", "learning_rate": 1e-5, "epochs": 1, "batch_size": run.sizes.image_batch}
    tree = {
        "foundation": {"kind": "clip", "model": f"local-dir:{clip_folder(run.folder)}"},
        "tasks": {
            "photos": {**common, "role": "speciality", **photos},
            "others": {**common, "role": "generality", "group": "g", "val": images("val 2", scored // 2, 3)},
        },
        "recipe": {**recipe, "precision": run.precision},
        "curve": {"coarse": list(_ALPHAS), "refine": 0},
    }
    return open_equipment(run, tree)


def _first_batch(run: Run, equipment: Equipment) -> tuple[Learner, Any]:
    learner = equipment.foundation.learner(recipe_of(equipment))
    return learner, learner.batch(torch.arange(run.sizes.image_batch), torch.Generator().manual_seed(0))


def bare_step(run: Run, equipment: Equipment) -> Callable[[], None]:
    """A step on the learner's own module and always the same batch, in the fewest lines."""
    learner, batch = _first_batch(run, equipment)
    inputs = {name: tensor.clone() for name, tensor in batch.inputs.items()}
    return _step(run, lambda: learner.module(**inputs), learner.module, lambda: batch.targets)


def _step(
    run: Run, forward: Callable[[], Tensor], module: nn.Module, targets: Callable[[], Tensor]
) -> Callable[[], None]:
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=1e-5, fused=True)

    def step() -> None:
        with torch.autocast(run.device.type, dtype=torch.bfloat16, enabled=run.precision == "bf16"):
            loss = F.cross_entropy(forward().float(), targets())
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


class _Cached(Dataset[tuple[Tensor, int]]):
    """Images kept as uint8, normalised one by one as torchvision's ToTensor and Normalize do; they come again."""

    def __init__(self, images: Tensor, count: int) -> None:
        self._images, self._count = images, count
        self._mean, self._std = (torch.tensor(x)[:, None, None] for x in ((0.48, 0.46, 0.41), (0.27, 0.26, 0.28)))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return (self._images[index % len(self._images)].float().div(255) - self._mean) / self._std, 0


def wise_ft_step(run: Run, equipment: Equipment) -> Callable[[], None]:
    """A step as in the WiSE-FT authors' finetune.py: a DataLoader with workers, open_clip's own model, AdamW.

    Theirs is in fp32; here it gets the same autocast as ours.
    """
    from open_clip.model import CLIP

    sizes = run.sizes
    with run.device:
        visual = CLIP(embed_dim=sizes.embed, vision_cfg=sizes.vision, text_cfg=sizes.text).visual.train()
        classes = F.normalize(torch.randn(sizes.classes, sizes.embed), dim=1)
    size = sizes.vision["image_size"]
    images = torch.randint(256, (2 * sizes.image_batch, 3, size, size), dtype=torch.uint8)
    count = run.steps(24, 24) * sizes.image_batch
    workers = 0 if run.toy else 12
    loader = DataLoader(
        _Cached(images, count), batch_size=sizes.image_batch, shuffle=True, num_workers=workers, pin_memory=not run.toy
    )
    batches = iter(loader)
    labels: list[Tensor] = []

    def forward() -> Tensor:
        batch, right = (each.to(run.device, non_blocking=True) for each in next(batches))
        labels[:] = [right]
        features: Tensor = visual(batch)
        return 100 * F.normalize(features.float(), dim=-1) @ classes.T

    return _step(run, forward, visual, lambda: labels[0])


def _bare_forward(run: Run, equipment: Equipment) -> float:
    """Images per second of the tower in bf16 on one batch that lies on the device, at the better of two sizes."""
    learner, batch = _first_batch(run, equipment)
    tower = copy.deepcopy(learner.module).eval().to(torch.float32 if run.toy else torch.bfloat16)
    images = next(tensor for tensor in batch.inputs.values() if tensor.ndim == 4)
    images = images.to(torch.float32 if run.toy else torch.bfloat16)
    visual: Any = tower.visual
    rates = []
    with torch.inference_mode():
        for size in (len(images), max(1, len(images) // 2)):
            part = images[:size]
            rates.append(size / mean_seconds(lambda part=part: visual(part), times=4 if run.toy else 12))  # type: ignore[misc]
    return max(rates)
