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
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rayforget.distributed import all_reduce_sum, rank, world_size
from rayforget.errors import FoundationError, TaskError
from rayforget.evaluate.finite import NotFinite, Scored
from rayforget.evaluate.pixel_stream import num_items, pixel_batches
from rayforget.evaluate.pixels_ahead import on_device
from rayforget.foundations.clip.classes import ClassVectors
from rayforget.foundations.clip.model import ClipModel
from rayforget.foundations.clip.named import answering
from rayforget.foundations.clip.names import HEAD
from rayforget.foundations.clip.resident import Resident
from rayforget.foundations.clip.scoring.classifier import Classifier, groups_within, restrict
from rayforget.foundations.clip.scoring.recall import found_among_k
from rayforget.foundations.protocol import State
from rayforget.heartbeat import beat
from rayforget.metrics.find import metric_of
from rayforget.metrics.registry import METRICS
from rayforget.space.recipe import Head
from rayforget.tasks.images.captions import Captions
from rayforget.tasks.images.pixels import PixelSet, broken_facts
from rayforget.tasks.images.several import right_classes
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
        captions: Callable[[str, Split], Captions] | None = None,
        *,
        speciality: str,
        head: Head | None,
        batch_size: int,
        resident: Resident | None = None,
    ) -> None:
        """Decodes nothing yet: the pixels of a split are requested when it is first scored.

        Args:
            model: theta_0.
            vectors: its class vectors.
            tasks: the tasks to score, by name.
            pixels: returns the decoded split of a task; called when it is first scored.
            captions: returns the captions of a task's split; needed for tasks that have some in place of classes.
            speciality: name of the task that is trained on.
            head: the recipe's; None scores models that no recipe trained.
            batch_size: images per forward pass.
            resident: the sets that lie on the device; None: they are read for each pass.
        """
        self._resident = resident or Resident(model.device, 0)
        self.tasks: Sequence[str] = tuple(tasks)
        self.models_per_pass: int | None = None
        self._model, self._vectors, self._resolved = model, vectors, tasks
        self._pixels, self._of_captions = pixels, captions
        self._speciality, self._head, self._batch_size = tasks[speciality], head, batch_size
        self._metrics = {name: METRICS.find(task.metric) for name, task in tasks.items() if task.retrieval is None}
        self._judges = {name: metric_of(tasks[name].metric, found.package) for name, found in self._metrics.items()}

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

    @property
    def runs_as(self) -> str:
        """Hash of architecture and preprocessing."""
        return hashlib.sha256(json.dumps(answering(self._model.config), sort_keys=True).encode()).hexdigest()[:32]

    def _named_metric(self, name: str) -> list[str | None]:
        metric = self._resolved[name].metric
        if name not in self._metrics:
            return [metric, self._resolved[name].retrieval.direction]  # type: ignore[union-attr]
        found = self._metrics[name]
        if found.package is None:
            return [] if metric == "accuracy" else [metric, None, None]
        return [metric, found.package, found.version, found.source]

    def items_hash(self, split: Split) -> str:
        """One hash over all tasks' names and items, 32 hex digits."""
        lines = (f"{name} {items_hash}\n" for name, items_hash in sorted(self.items_by_task(split).items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:32]

    def items_by_task(self, split: Split) -> dict[str, str]:
        """Per task the hash of its decoded items, and of their captions."""
        return {name: self._items_of(name, split) for name in self.tasks}

    def _captions(self, name: str, split: Split) -> Captions:
        if self._of_captions is None:
            raise FoundationError(f"task {name} has captions in place of classes; pass `captions`")
        return self._of_captions(name, split)

    def _items_of(self, name: str, split: Split) -> str:
        images, retrieval = self._pixels(name, split).items_hash, self._resolved[name].retrieval
        if not self._needs_all(name):
            return images
        return self._captions(name, split).digest(f"{images} {retrieval.direction if retrieval else 'classes'}")

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
        classifiers = [self._classifiers(theta, split) for theta in thetas]
        results, broken, features = self._pass(sets, thetas, classifiers)
        scored: list[Scored] = []
        for model, (own, lost) in enumerate(zip(results, broken, strict=True)):
            if any(lost):
                scored.append(NotFinite(items={n: count for n, count in zip(self.tasks, lost, strict=True) if count}))
                continue
            of_tasks = dict(zip(self.tasks, torch.split(own, [len(each.labels) for each in sets]), strict=True))
            of_tasks |= {
                name: self._of_all(name, split, each[model], classifiers[model][self.tasks.index(name)])
                for name, each in features.items()
            }
            images = dict(zip(self.tasks, sets, strict=True))
            scored.append({name: self._score(name, split, images[name], found) for name, found in of_tasks.items()})
        return scored

    def _of_all(self, name: str, split: Split, images: Tensor, classifier: Classifier) -> Tensor:
        """The results of a task of which each depends on all images' features, on the CPU.

        Per image, or per caption, whether a right partner was found; or per image and class of its own.
        """
        captions, retrieval, texts = self._captions(name, split), self._resolved[name].retrieval, classifier.vectors
        if retrieval is None:
            right = torch.from_numpy(right_classes(captions, self._resolved[name].class_names, len(images)))
            return self._judges[name].results(classifier.logits(images).cpu(), right)
        of_images, owned = (torch.from_numpy(each) for each in (captions.images, captions.owned))
        if retrieval.direction == "image_to_text":
            return found_among_k(images, texts, (of_images, owned), retrieval.k).cpu()
        return found_among_k(texts, images, (owned, of_images), retrieval.k).cpu()

    def _score(self, name: str, split: Split, images: PixelSet, results: Tensor) -> Score:
        if name not in self._metrics:
            return Score(
                rule=self._resolved[name].metric, items=results.numpy(), items_hash=self._items_of(name, split)
            )
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
            classes=self._classes(name, split, images) if metric.needs_classes else None,
            items_hash=self._items_of(name, split),
        )

    def _classes(self, name: str, split: Split, images: PixelSet) -> NDArray[np.int32]:
        """The class of each item."""
        if not self._judges[name].several_labels:
            return images.labels.astype(np.int32)
        right = right_classes(self._captions(name, split), self._resolved[name].class_names, len(images.labels))
        return np.nonzero(right)[1].astype(np.int32)

    def _needs_all(self, name: str) -> bool:
        """Whether a result depends on other images too."""
        return name not in self._metrics or self._judges[name].several_labels

    @torch.inference_mode()
    def _pass(
        self, sets: Sequence[PixelSet], thetas: Sequence[State], classifiers: Sequence[Sequence[Classifier]]
    ) -> tuple[Tensor, list[list[int]], dict[str, Tensor]]:
        """Per model and item its result (float32, on the CPU); per model and task the number of items not finite.

        Of tasks of which a result depends on all images also these images' features, on the device, shape (num_models,
        num_images, d).
        """
        weights = [self._model.visual_weights(theta) for theta in thetas]
        total = num_items(sets)
        sound = [[each.vectors.isfinite().all() for each in of_tasks] for of_tasks in classifiers]
        # An additional column per task counts what is not finite, so that a single all-reduce tells all ranks
        # everything; an item's result is on one rank and 0 on the others, and counts below 2^24 are exact.
        results = torch.zeros(len(thetas), total + len(sets), dtype=torch.float32, device=self._model.device)
        starts = np.cumsum([0, *(len(each.labels) for each in sets)])
        kept = {
            name: torch.zeros(
                len(thetas), len(sets[at].labels), classifiers[0][at].vectors.shape[1], device=self._model.device
            )
            for at, name in enumerate(self.tasks)
            if thetas and self._needs_all(name)
        }
        there = self._resident.of_all(sets)
        read = pixel_batches(sets, self._batch_size, rank=rank(), world_size=world_size(), pixels=there)
        for batch in on_device(read, self._model.device, ahead=None if there is None else 0):
            beat("score images", batch.first, total)
            images, labels = self._model.normalisation(batch.pixels), batch.labels
            for model, (row, visual, of_tasks, finite) in enumerate(
                zip(results, weights, classifiers, sound, strict=True)
            ):
                features = self._model.image_features(images, visual)
                usable = features.isfinite().all(dim=1)
                for index, items in batch.parts:
                    row[total + index] += (~(usable[items] & finite[index])).sum()
                    if self.tasks[index] in kept:
                        first = batch.first + items.start - int(starts[index])
                        kept[self.tasks[index]][model, first : first + items.stop - items.start] = features[items]
                        continue
                    logits = of_tasks[index].logits(features[items])
                    found = self._judges[self.tasks[index]].results(logits, labels[items])
                    if found.shape != labels[items].shape:
                        raise TaskError(
                            f"metric {self._resolved[self.tasks[index]].metric} gives results of shape "
                            f"{tuple(found.shape)} for {len(labels[items])} items; expected one number for each"
                        )
                    row[batch.first + items.start : batch.first + items.stop] = found
        for each in (results, *kept.values()):
            all_reduce_sum(each)
        return results[:, :total].cpu(), results[:, total:].int().tolist(), kept

    def _classifiers(self, theta: State, split: Split) -> list[Classifier]:
        """One classifier per task, in the order of `tasks`."""
        if HEAD in theta and self._head != "trained":
            raise FoundationError(f"{HEAD} belongs to models trained with head: trained, not with {self._head}")
        text_weights = self._model.text_weights(theta)
        return [self._classifier(theta, text_weights, task, split) for task in self._resolved.values()]

    def _classifier(
        self, theta: State, text_weights: Mapping[str, Tensor], task: ResolvedTask, split: Split
    ) -> Classifier:
        if task.retrieval is not None:
            task = replace(task, class_names=self._captions(task.name, split).texts)
            texts = self._vectors.of(text_weights, task) if text_weights else self._vectors.of_theta_0(task)
            return restrict(texts, None)
        groups = None if self._head == "text" else groups_within(task, self._speciality)
        if groups is not None:
            head = theta.get(HEAD) if self._head == "trained" else None
            speciality = self._vectors.of_theta_0(self._speciality) if head is None else head.to(self._model.device)
            return restrict(speciality, groups)
        own = self._vectors.of(text_weights, task) if text_weights else self._vectors.of_theta_0(task)
        return restrict(own, task.class_groups)
