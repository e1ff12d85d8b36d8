"""A task with its names, prompts and items settled, as foundations and scorers use it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import TaskError
from rayforget.space.tasks.data import Role
from rayforget.tasks.images.cut import in_val
from rayforget.tasks.images.labelled import LabelledImages
from rayforget.tasks.keys import at_key

SplitName = Literal["train", "val", "test"]
Side = Literal["val", "test"]

HALVES: tuple[Side, Side] = ("val", "test")
"""The two sides of a cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """One side of a cut."""

    side: Side
    seed: int
    val_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitItems:
    """The items of one split: all items of its source that have a class, or one half of them."""

    key: str
    """The space file's key: `tasks.photo.val`, or `tasks.photo.cut` for both halves."""
    source: LabelledImages
    """`source.label(index)` is the item's class; see `ResolvedTask.num_classes`."""
    max_broken: int
    half: Half | None = None

    @property
    def revision(self) -> str | None:
        """The commit of the hub data set that the items come from, if any."""
        return self.source.revision

    @property
    def indices(self) -> NDArray[np.int64]:
        """Indices into `source`, ascending. A half reads every item of the source once for its content hash.

        Raises:
            TaskError: the half is empty.
        """
        kept = np.flatnonzero(self.source.labels >= 0)
        if self.half is None:
            return kept
        with at_key(self.key):
            hashes = self.source.content_hashes(kept)
        chosen = in_val(hashes, seed=self.half.seed, val_share=self.half.val_share)
        indices = kept[chosen if self.half.side == "val" else ~chosen]
        if not len(indices):
            raise TaskError(f"{self.key}: {len(kept)} items leave none for {self.half.side}; change val_share or seed")
        return indices

    @property
    def expected_count(self) -> int:
        """Number of items, without reading any; for a half, the expected number by its share."""
        kept = int(np.count_nonzero(self.source.labels >= 0))
        if self.half is None:
            return kept
        share = self.half.val_share if self.half.side == "val" else 1 - self.half.val_share
        return round(kept * share)

    def few(self, count: int) -> "SplitItems":
        """At most `count` items, spread over the whole set, since files of one class may be of one size."""
        source = copy.copy(self.source)
        kept = np.flatnonzero(source.labels >= 0)
        chosen = kept[np.unique(np.linspace(0, len(kept) - 1, min(count, len(kept))).astype(np.int64))]
        source.labels = np.full_like(source.labels, -1)
        source.labels[chosen] = self.source.labels[chosen]
        return replace(self, source=source, half=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """How a task of images and captions is scored."""

    direction: Literal["image_to_text", "text_to_image"]
    k: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedTask:
    """One task, ready to be decoded and scored."""

    name: str
    role: Role
    group: str | None
    """A generality task's group; None for a speciality."""
    class_ids: tuple[str, ...]
    """Identify classes across tasks: WordNet ids for the suites, else the names. Unique."""
    class_names: tuple[str, ...]
    """The names used in prompts; two ImageNet classes may share a name."""
    templates: tuple[str, ...]
    """Prompts with {} for the class name."""
    splits: Mapping[SplitName, SplitItems]
    """`val` and `test`, and `train` for the trained speciality."""
    class_groups: tuple[tuple[int, ...], ...] | None = None
    """Label -> indices into `class_names`; a label's logit is the largest of theirs. None: labels are the indices."""
    metric: str = "accuracy"
    """Name of the task's metric."""
    several_labels: bool = False
    """Whether an image has any number of classes: a label then is an index into the names of its split's source, each
    of which holds the names of an image's classes, one in each line."""
    retrieval: Retrieval | None = None
    """Set for images with captions, which have no classes: a label then is an index into the names of its split's
    source, each of which holds an image's captions, one in each line."""
    dropped: tuple[str, ...] = ()
    """What was left out since it is in two splits."""

    @property
    def num_classes(self) -> int:
        """Number of labels."""
        return len(self.class_groups) if self.class_groups is not None else len(self.class_names)

    def few(self, count: int) -> "ResolvedTask":
        """The task with at most `count` items per split, for timing; both halves of a cut get the same items."""
        return replace(self, splits={name: items.few(count) for name, items in self.splits.items()})

    def indices_within(self, other: "ResolvedTask") -> tuple[int, ...] | None:
        """The positions of this task's classes among another's; None unless all of them are there."""
        position = {class_id: index for index, class_id in enumerate(other.class_ids)}
        if not position.keys() >= set(self.class_ids):
            return None
        return tuple(position[class_id] for class_id in self.class_ids)
