"""A space small enough for many trainings: a tiny CLIP of random weights and coloured squares in two styles."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tiny_clip import save_clip

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 60), "blue": (40, 60, 220)}


def save_images(folder: Path, per_class: int, *, seed: int, negative: bool = False) -> None:
    """Writes noisy squares of each colour, as PNG."""
    random = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for index in range(per_class):
            noisy = np.clip(np.array(colour) + random.normal(0, 60, (24, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(255 - noisy if negative else noisy).save(folder / name / f"{index}.png")


def tiny_space(root: Path) -> Callable[..., dict[str, Any]]:
    """Makes the space file's tree, with some keys replaced; model and images are written into a folder."""
    foundation = save_clip(root / "clip")
    for split, seed in (("train", 1), ("val", 2), ("test", 3)):
        save_images(root / "plain" / split, 11, seed=seed)
        save_images(root / "negative" / split, 7, seed=10 + seed, negative=True)

    def task(style: str, splits: tuple[str, ...], **fields: Any) -> dict[str, Any]:
        sources = {split: {"kind": "folder", "path": str(root / style / split)} for split in splits}
        return {"kind": "zero_shot", **fields, **sources}

    def make(storage: Path, **changed: Any) -> dict[str, Any]:
        return {
            "name": "tiny",
            "foundation": {"kind": "clip", "model": foundation.model},
            "tasks": {
                "plain": task("plain", ("train", "val", "test"), role="speciality", templates=["a {} square"]),
                "negative": task("negative", ("val", "test"), role="generality", group="distribution"),
            },
            "recipe": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "epochs": 4, "batch_size": 8},
            "methods": {"full": {}, "lora": {"adapter": {"kind": "lora", "rank": {"choice": [1, 3]}}}},
            "plain": {"set": {"learning_rate": 1e-3}, "seeds": 2},
            "search": {"trainings": 4, "seed": 0, "startup": 2},
            "curve": {"coarse": [0, 0.5, 1], "refine": 1, "fractions": [0.5, 1.0]},
            "resources": {"cpus_per_worker": 1, "checkpoint_every_s": 0.2},
            "storage": {"path": str(storage)},
            "tracking": {"enabled": False},
            **changed,
        }

    return make
