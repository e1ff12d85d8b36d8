"""Many CLIP models -> their scores on every task, in one pass over the decoded images.

Which class vectors score which task, if theta may differ from theta_0 in any tensor:

| recipe's head | the speciality's classes, or some of them, in its prompts | other tasks |
|---|---|---|
| frozen, or none | theta_0's zero-shot classifier | theta's text tower |
| trained | theta's `head.weight` | theta's text tower |
| text | theta's text tower | theta's text tower |

A text tower runs only for a theta that holds tensors of it; otherwise theta_0's class vectors serve, made once per
process.

The task's metric makes an item's result of its logits: for accuracy, whether the argmax is its label. It depends on no
other item. Batch size and number of ranks change features only by rounding (about 1e-6); a result can only differ if
the best two classes are that close. With equal batch size and number of ranks, scores are the same to the last bit. An
item without finite features, or whose task's class vectors are not finite, has no result, and then the whole model has
no scores.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rayforget.distributed import all_reduce_sum, rank, world_size
from rayforget.errors import FoundationError, TaskError
from rayforget.evaluate.finite import NotFinite, Scored
from rayforget.evaluate.pixel_stream import num_items, pixel_batches
from rayforget.foundations.clip.classes import ClassVectors
from rayforget.foundations.clip.model import ClipModel
from rayforget.foundations.clip.names import HEAD
from rayforget.foundations.clip.scoring.classifier import Classifier, groups_within, restrict
from rayforget.foundations.protocol import State
from rayforget.heartbeat import beat
from rayforget.metrics.find import metric_of
from rayforget.metrics.registry import METRICS
from rayforget.space.recipe import Head
from rayforget.tasks.images.pixels import PixelSet, broken_facts
from rayforget.tasks.resolved import ResolvedTask
from rayforget.values.records import RUNS_WITH
from rayforget.values.scores import Score, Split


class ZeroShotScorer:
    """Scores models of one head (implements `Scorer`)."""

    def __init__(
        self,
        model: ClipModel,
        vectors: ClassVectors,
        tasks: Mapping[str, ResolvedTask],
        pixels: Callable[[str, Split], PixelSet],
        *,
        speciality: str,
        head: Head | None,
        batch_size: int,
    ) -> None:
        """Decodes nothing yet: the pixels of a split are requested when it is first scored.

        Args:
            model: theta_0.
            vectors: its class vectors.
            tasks: the tasks to score, by name.
            pixels: returns the decoded split of a task; called when it is first scored.
            speciality: name of the task that is trained on.
            head: the recipe's; None scores models that no recipe trained.
            batch_size: images per forward pass.
        """
        self.tasks: Sequence[str] = tuple(tasks)
        self.models_per_pass: int | None = None
        self._model, self._vectors, self._resolved, self._pixels = model, vectors, tasks, pixels
        self._speciality, self._head, self._batch_size = tasks[speciality], head, batch_size
        self._metrics = {name: METRICS.find(task.metric) for name, task in tasks.items()}
        self._judges = [metric_of(task.metric, self._metrics[name].package) for name, task in tasks.items()]

    @property
    def identity(self) -> str:
        """Hash of what decides a score besides weights and items: architecture, preprocessing, prompts, head, metric.

        Accuracy is left out of it, so that scores cached before there were other metrics are still found.
        """
        tasks = [
            [name, task.class_ids, task.class_names, task.class_groups, task.templates, *self._named_metric(name)]
            for name, task in sorted(self._resolved.items())
        ]
        normalisation = self._model.normalisation
        images = [self._model.decoder.key, normalisation.mean, normalisation.std, self._batch_size]
        parts = [dict(self._model.config), images, tasks, self._speciality.name, self._head]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def _named_metric(self, name: str) -> list[str | None]:
        metric, found = self._resolved[name].metric, self._metrics[name]
        if found.package is None:
            return [] if metric == "accuracy" else [metric, None, None]
        return [metric, found.package, found.version, found.source]

    def items_hash(self, split: Split) -> str:
        """One hash over all tasks' names and items, 32 hex digits."""
        lines = (f"{name} {items_hash}\n" for name, items_hash in sorted(self.items_by_task(split).items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:32]

    def items_by_task(self, split: Split) -> dict[str, str]:
        """Per task the hash of its decoded items."""
        return {name: self._pixels(name, split).items_hash for name in self.tasks}

    def facts(self, split: Split) -> dict[str, Any]:
        """The broken images that were skipped, by task; how a file of weights is run."""
        how = {} if self._model.runs_with is None else {RUNS_WITH: self._model.runs_with}
        return how | broken_facts({name: self._pixels(name, split).broken for name in self.tasks})

    def counted(self, split: Split) -> dict[str, dict[str, int]]:
        """Nothing: no image is cut, and unreadable ones are counted when a set is made."""
        return {}

    def score(self, thetas: Sequence[State], split: Split) -> list[Scored]:
        """Scores every model in one pass; every rank gets the whole result."""
        sets = [self._pixels(name, split) for name in self.tasks]
        classifiers = [self._classifiers(theta) for theta in thetas]
        results, broken = self._pass(sets, thetas, classifiers)
        return [self._scored(sets, own, lost) for own, lost in zip(results, broken, strict=True)]

    def _scored(self, sets: Sequence[PixelSet], results: Tensor, broken: Sequence[int]) -> Scored:
        """One model's results, task after task, as scores."""
        if any(broken):
            return NotFinite(items={name: count for name, count in zip(self.tasks, broken, strict=True) if count})
        of_tasks = torch.split(results, [len(each.labels) for each in sets])
        parts = zip(self.tasks, sets, of_tasks, strict=True)
        return {name: self._score(name, images, own) for name, images, own in parts}

    def _score(self, name: str, images: PixelSet, results: Tensor) -> Score:
        rule, package = self._resolved[name].metric, self._metrics[name].package
        metric = metric_of(rule, package)
        if metric.right_or_wrong and not ((results == 0) | (results == 1)).all():
            raise TaskError(
                f"metric {rule} of package {package} gives results other than 0 and 1 for task {name}; a metric of "
                "such results says `right_or_wrong = False`"
            )
        return Score(
            rule=rule,
            package=package,
            items=results.bool().numpy() if metric.right_or_wrong else results.numpy(),
            classes=images.labels.astype(np.int32) if metric.needs_classes else None,
            items_hash=images.items_hash,
        )

    @torch.inference_mode()
    def _pass(
        self, sets: Sequence[PixelSet], thetas: Sequence[State], classifiers: Sequence[Sequence[Classifier]]
    ) -> tuple[Tensor, list[list[int]]]:
        """Per model and item its result (float32, on the CPU); per model and task the number of items not finite."""
        weights = [self._model.visual_weights(theta) for theta in thetas]
        total = num_items(sets)
        sound = [[each.vectors.isfinite().all() for each in of_tasks] for of_tasks in classifiers]
        # An additional column per task counts what is not finite, so that a single all-reduce tells all ranks
        # everything; an item's result is on one rank and 0 on the others, and counts below 2^24 are exact.
        results = torch.zeros(len(thetas), total + len(sets), dtype=torch.float32, device=self._model.device)
        for batch in pixel_batches(sets, self._batch_size, rank=rank(), world_size=world_size()):
            beat("score images", batch.first, total)
            images = self._model.normalisation(batch.pixels.to(self._model.device))
            labels = batch.labels.to(self._model.device)
            for row, visual, of_tasks, finite in zip(results, weights, classifiers, sound, strict=True):
                features = self._model.image_features(images, visual)
                usable = features.isfinite().all(dim=1)
                for index, items in batch.parts:
                    logits = of_tasks[index].logits(features[items])
                    found = self._judges[index].results(logits, labels[items])
                    if found.shape != labels[items].shape:
                        raise TaskError(
                            f"metric {self._resolved[self.tasks[index]].metric} gives results of shape "
                            f"{tuple(found.shape)} for {len(labels[items])} items; expected one number for each"
                        )
                    row[batch.first + items.start : batch.first + items.stop] = found
                    row[total + index] += (~(usable[items] & finite[index])).sum()
        all_reduce_sum(results)
        return results[:, :total].cpu(), results[:, total:].int().tolist()

    def _classifiers(self, theta: State) -> list[Classifier]:
        """One classifier per task, in the order of `tasks`."""
        if HEAD in theta and self._head != "trained":
            raise FoundationError(f"{HEAD} belongs to models trained with head: trained, not with {self._head}")
        text_weights = self._model.text_weights(theta)
        return [self._classifier(theta, text_weights, task) for task in self._resolved.values()]

    def _classifier(self, theta: State, text_weights: Mapping[str, Tensor], task: ResolvedTask) -> Classifier:
        groups = None if self._head == "text" else groups_within(task, self._speciality)
        if groups is not None:
            head = theta.get(HEAD) if self._head == "trained" else None
            speciality = self._vectors.of_theta_0(self._speciality) if head is None else head.to(self._model.device)
            return restrict(speciality, groups)
        own = self._vectors.of(text_weights, task) if text_weights else self._vectors.of_theta_0(task)
        return restrict(own, task.class_groups)
