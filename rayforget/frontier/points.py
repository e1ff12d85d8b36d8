"""Scores per task -> speciality S and generality G of one model, and the points that make up a frontier."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import RecordError, SpaceError
from rayforget.space.path_text import LERP

if TYPE_CHECKING:
    from rayforget.space.models import Space

THETA_0 = "theta_0"
"""Stands in place of a method: the pretrained model's own point."""
PLAIN = "plain"
"""The method of the baseline, plain fine-tuning."""

_DECIMALS = 12


class PointKey(NamedTuple):
    """Identifies a point."""

    trial: str
    step: int
    alpha: float
    path: str = LERP
    """Text of the path on which alpha lies; the lerp if a record names none."""

    @property
    def order(self) -> tuple[str, int, bool, str, float]:
        """Sort key: (trial, step), then the lerp's points by alpha, then each other path's; the lowest wins a tie."""
        return (self.trial, self.step, self.path != LERP, self.path, self.alpha)

    @property
    def text(self) -> str:
        """`TRIAL/STEP/PATH/ALPHA`, by which a user names a point: `0010-l2/24/lerp/0.75`; `parse_key` reads it."""
        return f"{self.trial}/{self.step}/{self.path}/{self.alpha!r}"


def parse_key(text: str) -> PointKey:
    """The inverse of `PointKey.text`.

    Raises:
        SpaceError: the text names no point.
    """
    trial, _, rest = text.partition("/")
    step, _, rest = rest.partition("/")
    path, _, alpha = rest.rpartition("/")
    try:
        key = PointKey(trial, int(step), float(alpha), path)
    except ValueError:
        key = PointKey("", 0, 0.0)
    if not (key.trial and key.path and math.isfinite(key.alpha)):
        raise SpaceError(f"{text!r} names no point; expected TRIAL/STEP/PATH/ALPHA, as 0010-l2/24/lerp/0.75")
    return key


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRole:
    """How a task's score counts."""

    name: str
    role: Literal["speciality", "generality"]
    group: str
    """Generality is the mean over groups of the mean over a group's tasks; speciality has no groups."""
    metric: str = "accuracy"
    """The name of its score in tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPoint:
    """One (trial, step, alpha, path) as `val` sees it."""

    trial: str
    step: int
    alpha: float
    path: str = LERP
    """Text of the path on which alpha lies (`rayforget.space.path_text`)."""
    fraction: float
    """Share of the training at which the checkpoint was taken; 0 for theta_0."""
    method: str
    """The recipe's method; `plain` for the baseline's trainings, `theta_0` for theta_0 itself."""
    coarse: bool
    """Whether alpha is on the grid common to all trials, and the path is scored on all of it."""
    speciality: float
    generality: float
    tasks: Mapping[str, float] = field(default_factory=dict)
    """Task -> score."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """The trial's resolved recipe; empty for theta_0."""

    @property
    def key(self) -> PointKey:
        """(trial, step, alpha, path)."""
        return PointKey(self.trial, self.step, self.alpha, self.path)

    @property
    def curve(self) -> tuple[str, int, str]:
        """(trial, step, path), which the points of one curve share."""
        return (self.trial, self.step, self.path)

    @property
    def is_copy_of_theta_0(self) -> bool:
        """Whether this is a curve's start, which is theta_0 again: drawn with its curve, never chosen."""
        return self.alpha == 0 and self.method != THETA_0


def task_roles(space: "Space") -> tuple[TaskRole, ...]:
    """The roles of a space's scored tasks, in the space's order; tasks that are only trained on have none."""
    scored = {name: task for name, task in space.tasks.items() if task.is_scored}
    return tuple(
        TaskRole(name=name, role=task.role, group=task.group or "", metric=task.metric_word)
        for name, task in scored.items()
    )


def speciality(values: Mapping[str, float], roles: Sequence[TaskRole]) -> float:
    """S: the mean of the speciality tasks' scores, in [0, 1].

    Raises:
        SpaceError: there is no speciality or no generality task.
        RecordError: a task of `roles` has no score.
    """
    return float(aggregate(_row(values, roles), roles)[0])


def generality(values: Mapping[str, float], roles: Sequence[TaskRole]) -> float:
    """G: the mean over groups of the mean over the group's generality tasks, in [0, 1]; raises as `speciality`."""
    return float(aggregate(_row(values, roles), roles)[1])


def trade_offs(models: Sequence[Mapping[str, float]], roles: Sequence[TaskRole]) -> list[tuple[float, float]]:
    """(S, G) of each model, from its scores by task; raises as `speciality`."""
    if not models:
        return []
    pairs = aggregate(np.stack([_row(values, roles) for values in models]), roles)
    return [(float(special), float(general)) for special, general in pairs]


def aggregate(scores: NDArray[np.float64], roles: Sequence[TaskRole]) -> NDArray[np.float64]:
    """(S, G) of many models at once.

    Args:
        scores: shape (..., num_tasks), columns in the order of `roles`.
        roles: the role of each column.

    Returns:
        Shape (..., 2): S = sum_t a_t x_t and G = sum_t b_t x_t, with a_t = 1 / num_speciality and b_t = 1 / (num_groups
        * size of t's group). Rounded to 12 decimals: a sum's last bits depend on the order of the tasks, and equal
        scores must tie in whatever order a space or its record lists them.

    Raises:
        SpaceError: there is no speciality or no generality task, or the number of columns is not that of `roles`.
    """
    if scores.shape[-1] != len(roles):
        raise SpaceError(f"scores have {scores.shape[-1]} columns for {len(roles)} tasks; give one column per task")
    return np.stack([(scores * weights).sum(axis=-1) for weights in _weights(tuple(roles))], axis=-1).round(_DECIMALS)


def aggregate_each(scores: Iterable[NDArray[np.float64]], roles: Sequence[TaskRole]) -> NDArray[np.float64]:
    """`aggregate` of one task's scores after another, each of shape (...), where all together would be too large."""
    pair: list[NDArray[np.float64] | float] = [0.0, 0.0]
    for own, *weights in zip(scores, *_weights(tuple(roles)), strict=True):
        for place, weight in enumerate(weights):
            if weight:
                pair[place] = pair[place] + own * weight
    return np.stack(pair, axis=-1).round(_DECIMALS)


@lru_cache(maxsize=16)
def _weights(roles: tuple[TaskRole, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    num_speciality = sum(role.role == "speciality" for role in roles)
    groups = [role.group for role in roles if role.role == "generality"]
    for count, role in ((num_speciality, "speciality"), (len(groups), "generality")):
        if not count:
            raise SpaceError(f"no task has the role {role}; a trade-off needs at least one task of each role")
    num_groups = len(set(groups))
    special = [float(role.role == "speciality") / num_speciality for role in roles]
    group_share = [1 / (num_groups * max(groups.count(role.group), 1)) for role in roles]
    general = [share * (role.role == "generality") for share, role in zip(group_share, roles, strict=True)]
    return np.array(special), np.array(general)


def _row(values: Mapping[str, float], roles: Sequence[TaskRole]) -> NDArray[np.float64]:
    missing = [role.name for role in roles if role.name not in values]
    if missing:
        raise RecordError(f"no score for task {', '.join(missing)}; found {', '.join(sorted(values)) or 'none'}")
    return np.array([values[role.name] for role in roles], dtype=np.float64)
