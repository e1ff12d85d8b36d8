"""A loaded space -> its foundation with a few items of each task, in a temporary folder: what a probe runs on."""

import copy
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from rayforget.errors import FoundationError, SpaceError
from rayforget.foundations.protocol import Foundation
from rayforget.space.load import LoadedSpace
from rayforget.space.models import CausalLmFoundation, ClipFoundation
from rayforget.tasks.check import Resolved
from rayforget.tasks.resolved import ResolvedTask, SplitItems
from rayforget.tasks.text.resolved import ResolvedText, TextSplit

BATCH = 64
"""Items of a timed step or evaluation; a larger batch is taken to cost in proportion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The same model twice, with more and with fewer items."""

    many: Foundation
    one: Foundation
    """With one item of each split of each task."""
    num_val: int
    """Items of `val` that `many` holds, all tasks together."""
    load_s: float
    """Seconds to load the model."""
    item_bytes: int
    """Of an item as it is kept on a node."""


def take_samples(loaded: LoadedSpace, tasks: Resolved, *, device: torch.device, folder: Path) -> Samples:
    """Loads the model; items are decoded or tokenised when they are first used.

    Raises:
        SpaceError: the model cannot be loaded; with the file and line that name it.
    """
    try:
        match loaded.space.foundation:
            case ClipFoundation() as spec:
                return _of_images(spec, _images(tasks), device, folder)
            case CausalLmFoundation() as spec:
                return _of_texts(spec, _texts(tasks), loaded.space.resources.evaluation_tokens, device, folder)
    except FoundationError as error:
        raise SpaceError(f"{loaded.where('foundation.model')}: foundation: {error}") from None


def _of_images(spec: ClipFoundation, tasks: dict[str, ResolvedTask], device: torch.device, folder: Path) -> Samples:
    from rayforget.foundations.clip.model import load_clip
    from rayforget.foundations.clip.prepared import PreparedClip

    started = time.perf_counter()
    model = load_clip(spec, device)
    load_s = time.perf_counter() - started

    def prepared(count: int, place: str) -> PreparedClip:
        few = {name: _few_images(task, count) for name, task in tasks.items()}
        return PreparedClip(model, few, cache=folder / place, evaluation_batch=BATCH)

    per_task = max(2, BATCH // len(tasks))
    return Samples(
        many=prepared(per_task, "many"),
        one=prepared(1, "one"),
        num_val=len(tasks) * per_task,
        load_s=load_s,
        item_bytes=int(np.prod(model.decoder.shape)),
    )


def _of_texts(
    spec: CausalLmFoundation, tasks: dict[str, ResolvedText], batch_tokens: int, device: torch.device, folder: Path
) -> Samples:
    from rayforget.foundations.causal_lm.model import load_causal_lm
    from rayforget.foundations.causal_lm.prepared import PreparedCausalLm, with_tasks

    started = time.perf_counter()
    model = load_causal_lm(spec, device)
    load_s = time.perf_counter() - started

    def prepared(count: int, place: str) -> PreparedCausalLm:
        few = {name: _few_texts(task, count) for name, task in tasks.items()}
        return with_tasks(model, spec.sequences, few, cache=folder / place, batch_tokens=batch_tokens)

    per_task = max(2, BATCH // len(tasks))
    many = prepared(per_task, "many")
    learnt = many.training_set()
    return Samples(
        many=many,
        one=prepared(1, "one"),
        num_val=sum(
            min(per_task, len(task.splits["val"].documents)) for task in tasks.values() if "val" in task.splits
        ),
        load_s=load_s,
        item_bytes=round(learnt.tokens.nbytes / len(learnt.first_targets)),
    )


def _images(tasks: Resolved) -> dict[str, ResolvedTask]:
    return {name: task for name, task in tasks.items() if isinstance(task, ResolvedTask)}


def _texts(tasks: Resolved) -> dict[str, ResolvedText]:
    return {name: task for name, task in tasks.items() if isinstance(task, ResolvedText)}


def _few_texts(task: ResolvedText, count: int) -> ResolvedText:
    """Documents spread over the whole split; twice as many to train on, whose lengths differ more."""

    def few(split: TextSplit, count: int) -> TextSplit:
        chosen = np.unique(np.linspace(0, len(split.documents) - 1, min(count, len(split.documents))).astype(np.int64))
        return replace(split, documents=tuple(split.documents[i] for i in chosen))

    return replace(
        task, splits={name: few(split, 2 * count if name == "train" else count) for name, split in task.splits.items()}
    )


def _few_images(task: ResolvedTask, count: int) -> ResolvedTask:
    """The task with `count` items of each split; halves of a cut begin alike, which no timing minds."""
    return replace(task, splits={name: _spread(items, count) for name, items in task.splits.items()})


def _spread(items: SplitItems, count: int) -> SplitItems:
    source = copy.copy(items.source)
    kept = np.flatnonzero(source.labels >= 0)
    # Spread over the whole set: files of one class may be of one size.
    chosen = kept[np.unique(np.linspace(0, len(kept) - 1, min(count, len(kept))).astype(np.int64))]
    source.labels = np.full_like(source.labels, -1)
    source.labels[chosen] = items.source.labels[chosen]
    return replace(items, source=source, half=None)
