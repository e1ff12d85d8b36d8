"""Tasks whose `val` and `test` are two parts of one labelled split -> these tasks, and their scores on the whole.

A half's score is not the number that papers report of the split. The whole split's score is comparable to it, but was
seen when points were chosen: it includes val's items.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import RecordError
from rayforget.frontier.points import FrontierPoint, PointKey
from rayforget.values.scores import Score

if TYPE_CHECKING:
    from rayforget.space.models import Space

T = TypeVar("T", np.float32, np.int32)
Items = NDArray[np.bool_] | NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class HalvedTask:
    """A task with one labelled split, cut in two by a seeded hash of each item's content."""

    name: str
    seed: int
    """Seed of the hash."""
    val_share: float
    """Share of the items that are `val`; the others are `test`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeScore:
    """One model, or the mean of several, on one halved task."""

    task: str
    points: tuple[int, ...]
    """Indices into the summary's points."""
    val: float
    test: float
    whole: float
    """Score on both parts together; seen in selection."""
    num_items: int
    """Number of items of the whole."""


def halved_tasks(space: "Space") -> tuple[HalvedTask, ...]:
    """The space's scored tasks with a `cut`, in the space's order."""
    return tuple(
        HalvedTask(name=name, seed=task.cut.seed, val_share=task.cut.val_share)
        for name, task in space.tasks.items()
        if task.cut is not None
    )


def join_halves(val: Score, test: Score, *, task: str) -> Score:
    """The score on the whole split, from the recorded items of its two parts.

    Raises:
        RecordError: the halves were scored by different rules.
    """
    ways = [(half.rule, half.package, half.weights is None, half.classes is None) for half in (val, test)]
    if ways[0] != ways[1]:
        raise RecordError(f"task {task}: val is scored by {val.rule}, test by {test.rule}; score both by the same rule")
    return Score(
        rule=val.rule,
        package=val.package,
        items=_joined(val.items, test.items),
        weights=_joined_where_known(val.weights, test.weights),
        classes=_joined_where_known(val.classes, test.classes),
        items_hash=f"{val.items_hash}+{test.items_hash}",
    )


def _joined_where_known(val: NDArray[T] | None, test: NDArray[T] | None) -> NDArray[T] | None:
    return None if val is None or test is None else np.concatenate((val, test))


def _joined(val: Items, test: Items) -> Items:
    joined: Any = np.concatenate((val, test))
    return joined  # type: ignore[no-any-return]  # both arrays are of one type


def whole_scores(
    halved: Sequence[HalvedTask],
    models: Sequence[Sequence[int]],
    points: Sequence[FrontierPoint],
    *,
    val: Mapping[PointKey, Mapping[str, Score]],
    test: Mapping[PointKey, Mapping[str, Score]],
) -> tuple[WholeScore, ...]:
    """Every halved task's score of every model; a model with a point that `test` has not scored is left out.

    Args:
        halved: the tasks.
        models: per model, the points whose mean it is.
        points: the summary's points.
        val: scores of these points.
        test: scores of these points, or of fewer.

    Raises:
        RecordError: the two parts do not fit each other.
    """
    found = []
    for task in halved:
        for model in models:
            keys = [points[i].key for i in model]
            if not keys or any(key not in val or key not in test for key in keys):
                continue
            parts = [(val[key][task.name], test[key][task.name]) for key in keys]
            wholes = [join_halves(*pair, task=task.name) for pair in parts]
            found.append(
                WholeScore(
                    task=task.name,
                    points=tuple(model),
                    val=float(np.mean([one.value for one, _ in parts])),
                    test=float(np.mean([other.value for _, other in parts])),
                    whole=float(np.mean([whole.value for whole in wholes])),
                    num_items=len(wholes[0].items),
                )
            )
    return tuple(found)
