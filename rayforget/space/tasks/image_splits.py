"""The splits of a task on images: its sources by key, and the rules that every such task keeps."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any, Literal, Protocol

from rayforget.space.frozen import Problem

Declared = Literal["train", "val", "test", "cut"]
"""The keys under which a task on images has sources."""
_NO_PLACE = {"max_broken", "max_megapixels", "exif", "limit"}
"""Settings of a source that do not say where it lies."""


class WithSplits(Protocol):
    """A task on images, as far as these rules read it."""

    @property
    def role(self) -> str:
        """speciality or generality."""
        ...

    @property
    def group(self) -> str | None:
        """A generality task's group."""
        ...

    @property
    def train(self) -> Any:
        """The training set."""
        ...

    @property
    def val(self) -> Any:
        """Chosen by."""
        ...

    @property
    def test(self) -> Any:
        """Reported on."""
        ...

    @property
    def cut(self) -> Any:
        """In place of `val` and `test`."""
        ...


def role_problems(task: WithSplits) -> Iterator[Problem]:
    """Groups and training sets that do not fit the task's role."""
    if task.role == "generality" and task.group is None:
        text = "found role: generality without a group; add `group:`, e.g. distribution or task"
        yield Problem(at=("role",), text=text)
    if task.role == "speciality" and task.group is not None:
        text = f"found {task.group} with role: speciality; only generality has groups: remove it"
        yield Problem(at=("group",), text=text)
    if task.role == "generality" and task.train is not None:
        text = "found with role: generality; only the speciality is trained on: remove it"
        yield Problem(at=("train",), text=text)


def split_problems(task: WithSplits) -> Iterator[Problem]:
    """Splits that are missing, made twice, or the same source."""
    if task.cut is not None:
        for split in ("val", "test"):
            if getattr(task, split) is not None:
                text = f"found beside cut, which makes {split} itself: remove one of them"
                yield Problem(at=(split,), text=text)
    else:
        for split in ("val", "test"):
            if getattr(task, split) is None:
                text = f"has no {split}; add `{split}:` (or `cut:` for a set with one labelled split)"
                yield Problem(at=(split,), text=text)
    for (one, first), (other, second) in combinations(sources_of(task).items(), 2):
        if first.model_dump(exclude=_NO_PLACE) == second.model_dump(exclude=_NO_PLACE):
            text = f"is the same source as {one}; splits must not overlap: give {other} its own data"
            yield Problem(at=(other,), text=text)


def sources_of(task: WithSplits) -> dict[Declared, Any]:
    """The task's sources by key, in the order in which they name the classes."""
    named: dict[Declared, Any] = {
        "train": task.train,
        "val": task.val,
        "test": task.test,
        "cut": task.cut.source if task.cut else None,
    }
    return {key: source for key, source in named.items() if source is not None}
