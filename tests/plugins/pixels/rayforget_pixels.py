"""Two layers on pictures of 8 x 8 pixels, with the same classes for every task: a kind of foundation in one file.

The file imports torch only inside functions that need it; a larger kind puts these into files of their own.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
from pydantic import PositiveInt

from rayforget.foundations.kind import Kind
from rayforget.space.foundation import FoundationConfig, ItemWords
from rayforget.space.frozen import Problem


class Pixels(FoundationConfig):
    """A network of two layers with random weights."""

    kind: Literal["pixels"]
    model: Literal["random"]
    classes: PositiveInt
    """Number of classes of all tasks."""
    width: PositiveInt = 16
    """Width of the hidden layer."""


class PixelsKind(Kind[Pixels, Any]):
    """`foundation.kind: pixels`."""

    config = Pixels
    tasks = ("zero_shot",)
    head = None
    without_effect: Mapping[str, str] = {
        "head": "there is one way to train it",
        "augmentation": "nothing changes images",
    }
    words = ItemWords(one="picture", many="pictures", kept="shrunk", keeping="shrink a picture")

    def training_problems(self, tasks: Mapping[str, Any]) -> Iterator[Problem]:
        if sum(task.train is not None for task in tasks.values()) != 1:
            yield Problem(at=("tasks",), text="exactly one task has `train:`")

    def local_places(self, spec: Pixels) -> Iterator[tuple[str, str]]:
        return iter(())

    def find(self, spec: Pixels) -> None:
        pass

    def pin(self, spec: Pixels) -> Pixels:
        return spec

    def trained_layers(self, spec: Pixels, head: str | None) -> Any:
        return _network(spec)

    def load(self, spec: Pixels, device: Any, share: Any) -> Any:
        from rayforget.interpolate.hashing import state_hash

        network = _network(spec)
        theta_0 = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        theta_0_hash = state_hash(theta_0)
        return SimpleNamespace(
            network=network.to(device), device=device, theta_0=share(theta_0_hash, theta_0), theta_0_hash=theta_0_hash
        )

    def with_tasks(self, model: Any, spec: Pixels, tasks: Mapping[str, Any], *, cache: Path, resources: Any) -> Any:
        return PixelsFoundation(model, tasks, cache)


class PixelsFoundation:
    """Implements `Foundation`."""

    item_bytes = 3 * 8 * 8

    def __init__(self, model: Any, tasks: Mapping[str, Any], cache: Path) -> None:
        self.theta_0, self.theta_0_hash = model.theta_0, model.theta_0_hash
        self._model, self._tasks, self._cache = model, tasks, cache
        self._trained = next(name for name, task in tasks.items() if "train" in task.splits)

    def pixels(self, name: str, split: str) -> Any:
        from rayforget.tasks.images.pixels import pixel_set

        items = self._tasks[name].splits[split]
        what = f"tasks.{name}.{split}"
        return pixel_set(items.source, items.indices, Shrink(), self._cache, max_broken=items.max_broken, what=what)

    def metric(self, name: str) -> str:
        """The name of the task's metric."""
        return str(self._tasks[name].metric)

    def learner(self, recipe: Any, data: tuple[str, str] | None = None) -> "PixelsLearner":
        return PixelsLearner(self._model, self.pixels(*(data or (self._trained, "train"))))

    def initial(self, recipe: Any) -> Mapping[str, Any]:
        return dict(self.theta_0)

    def layers(self, recipe: Any) -> Mapping[str, Any]:
        from rayforget.foundations.layers import tower_layers

        return tower_layers(self.theta_0)

    def scorer(self, recipe: Any) -> "PixelsScorer":
        return PixelsScorer(self._model, self, tuple(self._tasks))


class PixelsLearner:
    """Implements `Learner`."""

    output = None

    def __init__(self, model: Any, train: Any) -> None:
        import copy

        self.module = copy.deepcopy(model.network).train()
        self.device, self.facts = model.device, {}
        self.num_items, self.data_hash = len(train.labels), train.items_hash
        self._train = train

    def batch(self, indices: Any, generator: Any) -> Any:
        import torch

        from rayforget.foundations.protocol import Batch

        chosen = indices.numpy()
        labels = torch.from_numpy(self._train.labels[chosen]).to(self.device)
        return Batch(inputs={"input": _input(self._train.pixels[chosen], self.device)}, targets=labels)

    def canonical(self, weights: Mapping[str, Any]) -> dict[str, Any]:
        return dict(weights)


class PixelsScorer:
    """Implements `Scorer`; for one rank."""

    models_per_pass = None
    identity = "pixels 1"

    def __init__(self, model: Any, foundation: PixelsFoundation, tasks: tuple[str, ...]) -> None:
        self.tasks, self._model, self._foundation = tasks, model, foundation

    def items_hash(self, split: Any) -> str:
        return hashlib.sha256(repr(sorted(self.items_by_task(split).items())).encode()).hexdigest()[:32]

    def items_by_task(self, split: Any) -> dict[str, str]:
        return {name: self._foundation.pixels(name, split).items_hash for name in self.tasks}

    def facts(self, split: Any) -> dict[str, Any]:
        return {}

    def counted(self, split: Any) -> dict[str, Any]:
        return {}

    def score(self, thetas: Any, split: Any) -> list[Any]:
        return [{name: self._score(theta, name, split) for name in self.tasks} for theta in thetas]

    def _score(self, theta: Mapping[str, Any], name: str, split: Any) -> Any:
        import torch
        from torch.func import functional_call

        from rayforget.metrics.registry import METRICS
        from rayforget.values.scores import Score

        found, rule = self._foundation.pixels(name, split), self._foundation.metric(name)
        metric, labels = METRICS.find(rule), torch.from_numpy(found.labels)
        with torch.no_grad():
            logits = functional_call(self._model.network, dict(theta), (_input(found.pixels, self._model.device),))
        items = metric.value().results(logits.cpu(), labels).numpy()
        return Score(
            rule=rule,
            package=metric.package,
            items=items.astype(bool if metric.value.right_or_wrong else np.float32),
            classes=found.labels.astype(np.int32) if metric.value.needs_classes else None,
            items_hash=found.items_hash,
        )


class Shrink:
    """Implements `Decoder`."""

    shape = (3, 8, 8)
    key = "pixels 8 x 8"

    def __call__(self, image: Any) -> Any:
        return np.ascontiguousarray(np.asarray(image.convert("RGB").resize((8, 8)), dtype=np.uint8).transpose(2, 0, 1))


def _network(spec: Pixels) -> Any:
    from collections import OrderedDict

    import torch
    from torch import nn

    with torch.random.fork_rng():
        torch.manual_seed(0)
        between = OrderedDict(
            embed=nn.Linear(3 * 8 * 8, spec.width), act=nn.Tanh(), head=nn.Linear(spec.width, spec.classes)
        )
        return nn.Sequential(OrderedDict(flat=nn.Flatten(), **between))


def _input(pixels: Any, device: Any) -> Any:
    import torch

    return torch.from_numpy(np.array(pixels)).to(device).float() / 255
