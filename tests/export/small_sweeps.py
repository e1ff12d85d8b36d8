"""Sweeps of a few steps on models with random weights, trained in this process on data made on the spot."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from PIL import Image
from tiny_clip import save_clip
from tiny_lm import TEXT

from rayforget.frontier.points import THETA_0
from rayforget.frontier.summary import Summary
from rayforget.record.jobs import TestJob, TrialJob
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.report.present import read_report
from rayforget.space.file.load import load_space
from rayforget.space.methods import methods_of, plain_of
from rayforget.space.models import Space
from rayforget.trial.equipment import Equipment
from rayforget.trial.equipment_spec import EquipmentSpec
from rayforget.trial.pipeline import run_trial, score_tests
from rayforget.values.points import Spot

NAME = "small"
ALPHAS = (0.0, 0.5, 1.0)
CLASSES = ["cat", "dog", "old car"]


class Recorded(NamedTuple):
    """A sweep with its space and its report."""

    sweep: Sweep
    space: Space
    summary: Summary
    folder: Path
    """Where its data lies."""


def recorded(folder: Path, tree: dict[str, Any], methods: Iterable[str] | None = None) -> Recorded:
    """Trains what the space says, or only these methods of it."""
    sweep, space = record_sweep(folder, tree, methods)
    return Recorded(sweep, space, read_report(sweep, space).summary, folder)


def record_sweep(folder: Path, tree: dict[str, Any], methods: Iterable[str] | None = None) -> tuple[Sweep, Space]:
    """Trains plain fine-tuning and each method once, scoring every point on `val` and `test`."""
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump(tree))
    loaded = load_space(path, (f"storage.path={folder / 'runs'}",))
    space = loaded.space
    info = SweepInfo(name=NAME, space_name=space.name, created=1.7e9)
    Sweep.create(Store.open(space.storage.path), info, space_text=loaded.text, space=space.model_dump(mode="json"))
    equipment = Equipment.open(EquipmentSpec(space=space, sweep_name=NAME))
    for number, method in enumerate([plain_of(space), *methods_of(space)]):
        if methods is not None and method.name not in methods:
            continue
        job = TrialJob(name=f"{number:04d}-{method.name}", recipe=method.recipe(seed=0))
        record = run_trial(job, equipment, _ignore)[-1]
        assert record.status == "ok", record.reason
        spots = tuple(point.spot for point in record.points)
        score_tests([TestJob(trial=record.trial, step=record.step, spots=spots)], equipment, _ignore)
    score_tests([TestJob(trial=THETA_0, step=0, spots=(Spot(0.0),))], equipment, _ignore)
    return Sweep.open(Store.open(space.storage.path), NAME), space


def _ignore(stage: str, done: int, total: int) -> None:
    pass


_COMMON: dict[str, Any] = {
    "plain": {"seeds": 1},
    "search": {"trainings": 1, "seed": 0},
    "curve": {"coarse": list(ALPHAS), "refine": 0},
    "resources": {"cpus_per_worker": 1},
    "tracking": {"enabled": False},
}


def clip_space(folder: Path, methods: dict[str, Any], **model: Any) -> dict[str, Any]:
    """A CLIP that learns folders of noise: two tasks on three classes, of which the second's prompts are its own."""
    random = np.random.default_rng(0)
    for task, splits in (("dots", ("train", "val", "test")), ("lines", ("val", "test"))):
        for split in splits:
            for label in CLASSES:
                place = folder / task / split / label
                place.mkdir(parents=True)
                for index in range(6):
                    pixels = random.integers(0, 256, (20 + index, 31, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(place / f"{index}.png")
    spec = save_clip(folder / "clip", **model)

    def of(task: str, *splits: str) -> dict[str, Any]:
        return {split: {"kind": "folder", "path": str(folder / task / split)} for split in splits}

    special = {"role": "speciality", "templates": ["a photo of a {}.", "the {}"], **of("dots", "train", "val", "test")}
    general = {"role": "generality", "group": "g", "templates": ["many a {}"], **of("lines", "val", "test")}
    return {
        "name": "pictures",
        "foundation": {"kind": "clip", "model": spec.model},
        "tasks": {
            "dots": {"kind": "zero_shot", **special},
            "lines": {"kind": "zero_shot", **general},
        },
        "recipe": {"learning_rate": 3e-3, "epochs": 1, "batch_size": 8},
        "methods": methods,
        **_COMMON,
        "curve": {**_COMMON["curve"], "paths": {"lerp": {}, "lines": {"gamma": 0.5}}},
    }


def language_space(folder: Path, model: Path | str, methods: dict[str, Any]) -> dict[str, Any]:
    """A language model that learns to choose; two tasks, of which the second is likelihoods."""
    words = TEXT.split()
    random = np.random.default_rng(0)

    def text(count: int) -> str:
        return " ".join(random.choice(words, count))

    def write(name: str, count: int) -> dict[str, Any]:
        rows = [
            {"question": text(4), "choices": [text(1 + place) for place in range(3)], "answer": int(random.integers(3))}
            for _ in range(count)
        ]
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return {"kind": "jsonl", "path": str(path)}

    def splits(name: str, *kinds: str) -> dict[str, Any]:
        return {split: write(f"{name}-{split}", 16 if split == "train" else 13) for split in kinds}

    special = {"role": "speciality", "answer_base": 0, **splits("cures", "train", "val", "test")}
    general = {"role": "generality", "group": "g", "answer_base": 0, "metric": "likelihood"}
    return {
        "name": "words",
        "foundation": {"kind": "causal_lm", "model": str(model)},
        "tasks": {
            "cures": {"kind": "multiple_choice", **special},
            "gardens": {"kind": "multiple_choice", **general, **splits("gardens", "val", "test")},
        },
        "recipe": {"learning_rate": 3e-2, "epochs": 1, "batch_size": 8},
        "methods": methods,
        **_COMMON,
    }


def images_of(found: Recorded, split: str) -> list[dict[str, Any]]:
    """What a program needs that scores images on its own: files, labels, classes and prompts."""
    tasks = []
    for name, task in found.space.tasks.items():
        folder = found.folder / name / split
        items = [(str(path), CLASSES.index(path.parent.name)) for path in sorted(folder.glob("*/*.png"))]
        prompts = list(task.templates)  # type: ignore[union-attr]
        special = task.role == "speciality"
        tasks.append({"name": name, "classes": CLASSES, "templates": prompts, "items": items, "speciality": special})
    return tasks
