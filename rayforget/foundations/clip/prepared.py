"""A space's CLIP foundation and its resolved tasks -> a `Foundation`, which a worker sets up once for all trials."""

import math
from collections.abc import Mapping
from functools import cache as remember
from pathlib import Path

import torch
from torch import Tensor

from rayforget.errors import FoundationError
from rayforget.foundations.clip.classes import ClassVectors
from rayforget.foundations.clip.config import ClipFoundation
from rayforget.foundations.clip.heads import build_module, build_pairs
from rayforget.foundations.clip.layers import clip_layers
from rayforget.foundations.clip.learner import ClipLearner
from rayforget.foundations.clip.model import ClipModel, load_clip
from rayforget.foundations.clip.names import HEAD
from rayforget.foundations.clip.pairs import PairLearner, class_prompts
from rayforget.foundations.clip.resident import Resident
from rayforget.foundations.clip.scoring.classifier import filled
from rayforget.foundations.clip.scoring.scorer import ZeroShotScorer
from rayforget.foundations.clip.text import prompt_tokens
from rayforget.foundations.protocol import State, TaskSplit
from rayforget.foundations.sharing import Share, keep_own
from rayforget.space.given import AnyRecipe
from rayforget.space.recipe import Head, Recipe
from rayforget.tasks.images.captions import Captions, captions_of
from rayforget.tasks.images.pixels import PixelSet, pixel_set
from rayforget.tasks.resolved import ResolvedTask, SplitName
from rayforget.values.layers import Layer


def prepare_clip(
    spec: ClipFoundation,
    tasks: Mapping[str, ResolvedTask],
    *,
    cache: Path,
    device: torch.device,
    evaluation_batch: int,
    share: Share = keep_own,
) -> "PreparedClip":
    """Loads the model; images are decoded, or found in the cache, when a split is first used.

    Args:
        spec: the space's foundation.
        tasks: all tasks, by name; one has `train`, or none, and then nothing can be trained.
        cache: folder on this node for decoded images.
        device: where everything runs.
        evaluation_batch: images per forward pass of an evaluation.
        share: decides in which memory theta_0 lies.

    Raises:
        FoundationError: the model cannot be loaded, several tasks have training sets, or none is a speciality.
    """
    return PreparedClip(load_clip(spec, device, share), tasks, cache=cache, evaluation_batch=evaluation_batch)


class PreparedClip:
    """A CLIP model with its tasks (implements `Foundation`).

    The speciality is the task with a training set, or where none has one the first that is to be learnt.
    """

    def __init__(
        self,
        model: ClipModel,
        tasks: Mapping[str, ResolvedTask],
        *,
        cache: Path,
        evaluation_batch: int,
        resident: Resident | None = None,
    ) -> None:
        trained = [name for name, task in tasks.items() if "train" in task.splits]
        special = trained or [name for name, task in tasks.items() if task.role == "speciality"][:1]
        if len(special) != 1:
            raise FoundationError(f"at most one task may have train, found {', '.join(trained) or 'no speciality'}")
        self.model = model
        self.theta_0: State = model.theta_0
        self.theta_0_hash: str = model.theta_0_hash
        self.item_bytes: int = math.prod(model.decoder.shape)
        self._tasks, self._batch_size = tasks, evaluation_batch
        self.speciality = tasks[special[0]]
        """The task that is trained on, if one is; see the class."""
        self._vectors = ClassVectors(model)
        self._resident = resident or Resident.on(model.device)

        @remember
        def pixels(name: str, split: SplitName) -> PixelSet:
            items = tasks[name].splits[split]
            what = f"tasks.{name}.{split}"
            return pixel_set(items.source, items.indices, model.decoder, cache, max_broken=items.max_broken, what=what)

        @remember
        def captions(name: str, split: SplitName) -> Captions:
            return captions_of(tasks[name].splits[split].source.class_names or (), pixels(name, split).labels)

        self._pixels, self._captions = pixels, captions

    def learner(self, recipe: Recipe, data: TaskSplit | None = None) -> ClipLearner:
        """A fresh module at theta_0 with the speciality's training set, or with a task's split.

        A task other than the speciality gets its own zero-shot classifier, which is not a part of the module even if
        the recipe trains the speciality's; with head: text it gets its own prompts.

        Raises:
            FoundationError: the recipe has no head, or asks for what the model cannot do, or there is no such split.
            TaskError: the images cannot be read.
        """
        name, split = data or (self.speciality.name, "train")
        task, head = self._task_with(name, split), self._head(recipe)
        if data is None and recipe.objective == "contrastive":
            return self._pair_learner(recipe, task)
        if task.several_labels:
            raise FoundationError(f"task {name} has images with several classes, which have no loss here; name another")
        if task.retrieval is not None:
            raise FoundationError(_without_classes(name, penalty=data is not None))
        if head == "trained" and task is not self.speciality:
            head = "frozen"
        groups = None if task.class_groups is None else filled(task.class_groups).to(self.model.device)
        module = build_module(
            self.model,
            head,
            self._vectors.of_theta_0(task),
            gradient_checkpointing=recipe.gradient_checkpointing,
            groups=groups,
        )
        images = self._pixels(name, split)
        return ClipLearner(
            self.model,
            module,
            images,
            task=task,
            augmentation=recipe.augmentation if data is None else None,
            initial=self.initial(recipe),
            tokens=self._vectors.tokens(task) if head == "text" else None,
            resident=self._resident.of(images),
        )

    def _pair_learner(self, recipe: Recipe, task: ResolvedTask) -> PairLearner:
        images = self._pixels(task.name, "train")
        if task.retrieval is None:
            tokens = self._vectors.tokens(task)
            groups = task.class_groups or [(label,) for label in range(task.num_classes)]
            captions = class_prompts(images.labels, groups, len(task.templates))
        else:
            captions = self._captions(task.name, "train")
            tokens = prompt_tokens(self.model.clip, self.model.tokenizer, captions.texts, ("{}",))
        return PairLearner(
            self.model,
            build_pairs(self.model, gradient_checkpointing=recipe.gradient_checkpointing),
            images,
            task=task,
            augmentation=recipe.augmentation,
            initial=self.initial(recipe),
            texts=tokens.flatten(0, 1),
            captions=captions,
            resident=self._resident.of(images),
        )

    def initial(self, recipe: AnyRecipe) -> State:
        """theta_0; with head: trained also the zero-shot classifier under `head.weight`, on the CPU.

        That tensor is computed, not loaded: on another kind of machine its last bits may differ.
        """
        return {**self.theta_0, HEAD: self._zero_shot_head} if self._head(recipe) == "trained" else dict(self.theta_0)

    def layers(self, recipe: AnyRecipe) -> dict[str, Layer]:
        """Each tower's own layers; see `clip_layers`."""
        return clip_layers(self.initial(recipe))

    def scorer(self, recipe: AnyRecipe | None) -> ZeroShotScorer:
        """Scores models with this recipe's head; None scores models that no recipe trained, such as theta_0."""
        return ZeroShotScorer(
            self.model,
            self._vectors,
            self._tasks,
            self._pixels,
            self._captions,
            speciality=self.speciality.name,
            head=None if recipe is None else self._head(recipe),
            batch_size=self._batch_size,
            resident=self._resident,
        )

    @property
    def _zero_shot_head(self) -> Tensor:
        return self._vectors.of_theta_0(self.speciality).cpu()

    def _task_with(self, name: str, split: SplitName) -> ResolvedTask:
        if name not in self._tasks:
            raise FoundationError(f"there is no task {name!r}; write one of {', '.join(self._tasks)}")
        task = self._tasks[name]
        if split not in task.splits:
            raise FoundationError(f"task {name} has no {split}; it has {', '.join(task.splits)}")
        return task

    def _head(self, recipe: AnyRecipe) -> Head:
        if recipe.head is None:
            raise FoundationError("recipe.head is missing; a CLIP model needs frozen, trained or text")
        return recipe.head


def _without_classes(name: str, *, penalty: bool) -> str:
    if penalty:
        return (
            f"task {name} has images with captions, and one such pair alone has no loss; name a task with classes in "
            "the penalty's `data`"
        )
    return (
        f"task {name} has images with captions and no classes, which only the contrastive loss learns; write "
        "objective: contrastive and head: text into `recipe`"
    )
