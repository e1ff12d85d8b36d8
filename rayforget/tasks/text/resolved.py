"""A task on texts with its documents settled, from which training sets and requests are made."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rayforget.space.tasks.data import Role
from rayforget.space.tasks.text import TextTask
from rayforget.tasks.resolved import SplitName
from rayforget.tasks.text.documents import Document
from rayforget.values.skipped import Skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSplit:
    """The documents of one split."""

    key: str
    """The space file's key: `tasks.arc.val`, or `tasks.arc.cut` for both halves."""
    documents: tuple[Document, ...]
    """In the source's order; at least one."""
    revision: str | None = None
    """The commit of the hub data set that the documents come from."""
    broken: Skipped = field(default_factory=dict)
    """The rows that cannot be used and were skipped; those of the whole for both halves of a cut."""
    max_broken: int = 0
    """How many such rows there may be, with those that a chat template refuses."""
    spare: tuple[Document, ...] = ()
    """Of a few of a split's documents, some others, if a template should refuse all of these."""

    @property
    def expected_count(self) -> int:
        """Number of documents."""
        return len(self.documents)

    def few(self, count: int) -> "TextSplit":
        """At most `count` documents, spread over the whole split."""
        number = len(self.documents)
        chosen = np.unique(np.linspace(0, number - 1, min(count, number)).astype(np.int64))
        others = np.setdiff1d(np.arange(number), chosen)[: self.max_broken + 1]
        few, spare = (tuple(self.documents[i] for i in indices) for indices in (chosen, others))
        return replace(self, documents=few, spare=spare)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedText:
    """One task, ready to be learnt from or asked."""

    name: str
    role: Role
    group: str | None
    """A generality task's group; None for a speciality."""
    task: TextTask
    """The task as declared."""
    splits: Mapping[SplitName, TextSplit]
    """`val` and `test` if the task is scored, and `train` if it is trained on."""
    lm_eval: Any | None
    """lm-eval's own task object; None for the user's own tasks, and for a group."""
    members: Mapping[str, Any] = field(default_factory=dict)
    """For a group of lm-eval's: its task objects, by the names that documents have as their `part`."""
    by_size: bool = True
    """Whether every item of a group weighs the same, or else every task."""

    def member(self, name: str, split: SplitName) -> "ResolvedText | None":
        """One task of a group with its documents of this split; None if it has none there."""
        items = self.splits[split]
        own = tuple(document for document in items.documents if document.part == name)
        if not own:
            return None
        return replace(self, lm_eval=self.members[name], members={}, splits={split: replace(items, documents=own)})

    def few(self, count: int) -> "ResolvedText":
        """The task with at most `count` documents per split, and twice as many for training, whose lengths differ
        more."""
        splits = {name: split.few(2 * count if name == "train" else count) for name, split in self.splits.items()}
        return replace(self, splits=splits)
