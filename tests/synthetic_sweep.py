"""A sweep whose records are drawn from a simple model of fine-tuning: paired items, bent curves, unlike methods."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rayforget.frontier.choose import points_to_report
from rayforget.frontier.gather import gather
from rayforget.frontier.points import PointKey, TaskRole
from rayforget.record.envelope import open_sealed, seal
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.space.models import Space
from rayforget.values.points import Point, Spot
from rayforget.values.records import CheckpointRecord, TestRecord
from rayforget.values.scores import Score

ROLES = (
    TaskRole(name="photo", role="speciality", group="photo"),
    TaskRole(name="art_painting", role="generality", group="distribution"),
    TaskRole(name="cartoon", role="generality", group="distribution"),
    TaskRole(name="sketch", role="generality", group="distribution"),
    TaskRole(name="counting", role="generality", group="task"),
)
BASE = {"photo": 0.58, "art_painting": 0.36, "cartoon": 0.54, "sketch": 0.53, "counting": 0.60}
NUM_ITEMS = {"photo": 251, "art_painting": 301, "cartoon": 353, "sketch": 499, "counting": 401}
# method -> (gain of speciality at alpha 1, loss of generality at alpha 1, bump in the middle), in logits
METHODS = {
    "full": (0.55, 0.62, 0.45),
    "kd": (0.50, 0.36, 0.35),
    "l1": (0.42, 0.24, 0.25),
    "l2": (0.47, 0.33, 0.40),
    "lora": (0.40, 0.30, 0.30),
    "lora_kd": (0.36, 0.20, 0.25),
}
ALPHAS = tuple(round(0.1 * i, 1) for i in range(11))


class World:
    """Items with fixed difficulties, so that all models are scored on the same ones."""

    def __init__(self, split: str, scale: float = 1.0) -> None:
        rng = np.random.default_rng([7, len(split)])
        self.split = split
        self.noise = {task: rng.logistic(size=max(1, int(n * scale))) for task, n in NUM_ITEMS.items()}

    def scores(self, special: float, general: float, alpha: float, training: int) -> dict[str, Score]:
        """Scores of a model moved by these logits; every training also moves each item in its own way."""
        found = {}
        for task, noise in self.noise.items():
            logit = math.log(BASE[task] / (1 - BASE[task])) + (special if task == "photo" else general)
            own = alpha * np.random.default_rng([training, len(task)]).normal(scale=0.4, size=len(noise))
            found[task] = Score(rule="accuracy", items=logit + own + noise > 0, items_hash=f"{self.split}/{task}")
        return found


def curve(gain: float, loss: float, bump: float, alpha: float) -> tuple[float, float]:
    """Logit shifts (speciality, generality) at alpha: concave, back to 0 at alpha = 0."""
    middle = bump * alpha * (1 - alpha)
    return gain * math.sin(math.pi / 2 * min(alpha, 1.0)) + middle, -loss * alpha**1.7 + middle * 0.8


def make_records(
    *,
    trials: int = 24,
    seeds: int = 3,
    scale: float = 1.0,
    failures: int = 1,
    fractions: tuple[float, ...] = (0.5, 1.0),
) -> tuple[list[CheckpointRecord], dict[PointKey, Mapping[str, Score]]]:
    """A sweep's records with their `val` scores, and the `test` scores of every point."""
    rng = np.random.default_rng(3)
    worlds = World("val", scale), World("test", scale)
    test: dict[PointKey, Mapping[str, Score]] = {}
    records: list[CheckpointRecord] = []

    def add(trial: str, fraction: float, recipe: Mapping[str, Any], shifts: dict[float, tuple[float, float]]) -> None:
        step = round(80 * fraction)
        points = []
        for alpha, shift in shifts.items():
            scores = [world.scores(*shift, alpha, recipe.get("seed", 0)) for world in worlds]
            points.append(Point(alpha=alpha, coarse=alpha in ALPHAS, scores=scores[0]))
            test[PointKey(trial, step, alpha)] = scores[1]
        records.append(
            CheckpointRecord(
                trial=trial,
                step=step,
                fraction=fraction,
                status="ok",
                recipe=recipe,
                points=tuple(points),
                theta_0_hash="0" * 32,
            )
        )

    add("theta_0", 0.0, {}, {0.0: (0.0, 0.0)})
    for index in range(seeds + trials):
        plain = index < seeds
        method = "plain" if plain else sorted(METHODS)[(index - seeds) % len(METHODS)]
        trial = f"plain-{index}" if plain else f"t{index - seeds:04d}"
        gain, loss, bump = METHODS["full" if plain else method] * (1 + rng.normal(scale=0.03 if plain else 0.3, size=3))
        rate = 3e-4 if plain else float(10 ** rng.uniform(-5, -3))
        recipe: dict[str, Any] = {"method": method, "learning_rate": rate, "epochs": 10, "seed": index}
        if method in ("l1", "l2"):
            recipe["penalties"] = [{"kind": method, "strength": float(10 ** rng.uniform(-3, 0))}]
        if not plain and trials - (index - seeds) <= failures:
            records.append(
                CheckpointRecord(
                    trial=trial,
                    step=0,
                    fraction=0.0,
                    status="failed",
                    reason="loss is nan",
                    recipe=recipe,
                    theta_0_hash="0" * 32,
                )
            )
            continue
        for fraction in fractions:
            alphas = ALPHAS if index % 4 else sorted((*ALPHAS, 0.35, 0.45))
            drift = fraction**0.7
            shifts = {a: curve(gain * drift, loss * fraction, bump, a) for a in alphas}
            add(trial, fraction, recipe, shifts)
    return records, test


def make_space(storage: Path, *, trainings: int, seeds: int, tracking: str | None = None) -> Space:
    """A space of these tasks, that nobody trains."""

    def source(split: str, place: int) -> dict[str, Any]:
        return {"kind": "world", "style": "sketch" if place else "photo", "split": split, "count": 8 + place}

    tasks: dict[str, Any] = {
        role.name: {"kind": "zero_shot", "role": role.role}
        | {split: source(split, place) for split in ("val", "test")}
        | ({"group": role.group} if place else {"templates": ["a {}"], "train": source("train", place)})
        for place, role in enumerate(ROLES)
    }
    return Space.model_validate(
        {
            "name": "tiny",
            "foundation": {"kind": "clip", "model": "builtin"},
            "tasks": tasks,
            "recipe": {"learning_rate": {"low": 1e-5, "high": 1e-3}, "epochs": 1, "batch_size": 8},
            "methods": {"full": {}},
            "plain": {"set": {"learning_rate": 1e-4}, "seeds": seeds},
            "search": {"trainings": trainings, "seed": 0},
            "storage": {"path": str(storage)},
            "tracking": {"uri": tracking},
        }
    )


def make_sweep(space: Space, name: str, records: Iterable[CheckpointRecord] = (), *, at: float) -> Sweep:
    """A new sweep with these records, all made at this time."""
    info = SweepInfo(name=name, space_name=space.name, created=at)
    sweep = Sweep.create(Store.open(space.storage.path), info, space_text="", space=space.model_dump(mode="json"))
    add_records(sweep, records, at=at)
    return sweep


def reseal_space(folder: Path, text: str) -> None:
    """Gives a recorded sweep another `space.json`, with the digest that a version that wrote it would have noted."""
    (folder / "space.json").write_text(text)
    info = folder / "sweep.json"
    body = open_sealed("sweep", info.read_bytes(), info.name)
    info.write_bytes(seal("sweep", body | {"space_digest": hashlib.sha256(text.encode()).hexdigest()[:12]}))


def add_records(sweep: Sweep, records: Iterable[CheckpointRecord], *, at: float) -> None:
    for record in records:
        sweep.add(record if record.trial == "theta_0" else replace(record, finished=at))


def untested(sweep: Sweep) -> list[PointKey]:
    """Points that a report wants on `test`, and that are not scored there."""
    points = gather(sweep.records(), ROLES).points
    return [key for key in (points[i].key for i in points_to_report(points)) if key not in sweep.test_scores()]


def add_tests(
    sweep: Sweep, keys: Sequence[PointKey], test: Mapping[PointKey, Mapping[str, Score]], *, at: float
) -> None:
    for key in keys:
        scores = {Spot(key.alpha, key.path): test[key]}
        sweep.add_tests(TestRecord(trial=key.trial, step=key.step, theta_1_hash="", scores=scores, finished=at))
