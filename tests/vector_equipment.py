"""An equipment around a small model of vectors: everything that a pipeline needs, set up in milliseconds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call
from train.learners import VectorLearner

from rayforget.evaluate.finite import NotFinite, Scored
from rayforget.foundations.layers import tower_layers
from rayforget.foundations.protocol import State, TaskSplit
from rayforget.interpolate.hashing import state_hash
from rayforget.record.scores_cache import ScoresCache
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.space.models import Space
from rayforget.space.recipe import Recipe
from rayforget.trial.equipment import Equipment
from rayforget.values.layers import Layer
from rayforget.values.scores import Score, Split

TASKS = {"s": 23, "g": 31}
"""Task -> number of items in either split."""


class VectorScorer:
    """Accuracies of `VectorLearner`'s model on random vectors."""

    def __init__(self) -> None:
        self.tasks: Sequence[str] = tuple(TASKS)
        self.models_per_pass: int | None = None
        self.identity = "vectors"
        self.runs_as = "as vectors"
        self.asked: list[int] = []
        """How many models each call of `score` got."""

    def items_hash(self, split: Split) -> str:
        """The split's name."""
        return split

    def items_by_task(self, split: Split) -> dict[str, str]:
        """The hashes that the scores carry."""
        return {task: f"{task}/{split}" for task in TASKS}

    def facts(self, split: Split) -> dict[str, Any]:
        """Nothing is left out."""
        return {}

    def score(self, thetas: Sequence[State], split: Split) -> list[Scored]:
        """Scores one model after another; `s` has the items that the model was trained on."""
        self.asked.append(len(thetas))
        return [self._score(theta, split) for theta in thetas]

    def _score(self, theta: Mapping[str, Tensor], split: Split) -> Scored:
        scores, broken = {}, {}
        for position, (task, count) in enumerate(TASKS.items()):
            generator = torch.Generator().manual_seed(10 * position + (split == "test"))
            features = torch.randn(count, 5, generator=generator) + position
            targets = torch.randint(0, 3, (count,), generator=generator)
            logits = functional_call(VectorLearner().module, dict(theta), (features,))
            logits = logits * logits.abs()  # keeps their order, and overflows beyond 1e19
            right = (logits.argmax(-1) == targets).numpy()
            scores[task] = Score(rule="accuracy", items=right, items_hash=f"{task}/{split}")
            if lost := int((~logits.isfinite().all(-1)).sum()):
                broken[task] = lost
        return NotFinite(items=broken) if broken else scores


class VectorFoundation:
    """`VectorLearner`'s model as a foundation (implements `Foundation`)."""

    def __init__(self) -> None:
        self.theta_0: State = {name: tensor.clone() for name, tensor in VectorLearner().module.state_dict().items()}
        self.theta_0_hash = state_hash(self.theta_0)
        self.item_bytes = 0
        self.vectors = VectorScorer()

    def learner(self, recipe: Recipe, data: TaskSplit | None = None) -> VectorLearner:
        """Fresh, at theta_0; every task has the training items."""
        return VectorLearner() if data is None else VectorLearner(noise=0.0)

    def initial(self, recipe: Recipe) -> State:
        """theta_0; the head adds nothing."""
        return dict(self.theta_0)

    def layers(self, recipe: Recipe) -> dict[str, Layer]:
        """The one tower's."""
        return tower_layers(self.theta_0)

    def scorer(self, recipe: Recipe | None) -> VectorScorer:
        """The one scorer."""
        return self.vectors


def vector_space(**changed: Any) -> Space:
    """A space whose tasks are the vectors'; its folders are never read."""
    folders = {split: {"kind": "folder", "path": f"/no/{split}"} for split in ("train", "val", "test")}
    others = {split: {"kind": "folder", "path": f"/no/other/{split}"} for split in ("val", "test")}
    tree: dict[str, Any] = {
        "name": "vectors",
        "foundation": {"kind": "clip", "model": "builtin"},
        "tasks": {
            "s": {"kind": "zero_shot", "role": "speciality", "templates": ["a {}"], **folders},
            "g": {"kind": "zero_shot", "role": "generality", "group": "d", **others},
        },
        "recipe": {"learning_rate": {"low": 1e-3, "high": 1e-1, "log": True}, "epochs": 3, "batch_size": 8},
        "methods": {"full": {}},
        "plain": {"set": {"learning_rate": 1e-2}, "seeds": 1},
        "search": {"trainings": 2, "seed": 0},
        "curve": {"coarse": [0, 0.5, 1], "refine": 0},
    }
    return Space.model_validate({**tree, **changed})


def vector_equipment(root: Path, *, scorer: VectorScorer | None = None, **changed: Any) -> Equipment:
    """An equipment on a sweep `v` below `root`, which is created if missing; keywords change the space."""
    storage, foundation = Store.open(root), VectorFoundation()
    foundation.vectors = scorer or foundation.vectors
    if not storage.exists("v"):
        info = SweepInfo(name="v", space_name="vectors", created=0.0, space_digest="")
        Sweep.create(storage, info, space_text="", space={})
    return Equipment(
        space=vector_space(**changed),
        foundation=foundation,
        sweep=Sweep.open(storage, "v"),
        device=torch.device("cpu"),
        provenance={},
        scores_cache=ScoresCache(storage),
    )


def no_heartbeat(stage: str, done: int, total: int) -> None:
    """Ignores every beat."""


def vector_recipe(**changed: Any) -> Recipe:
    """Fine-tuning that ends within a second."""
    base = {"method": "full", "learning_rate": 1e-2, "epochs": 2, "batch_size": 8, "seed": 0}
    return Recipe.model_validate({**base, **changed})


def objectives_of(scores: Mapping[str, Score]) -> tuple[float, float]:
    """(speciality, generality), computed by hand."""
    return float(np.mean(scores["s"].items)), float(np.mean(scores["g"].items))
