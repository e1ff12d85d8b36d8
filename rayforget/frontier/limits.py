"""What a user asks of a point, in points of a percent -> the rule by which to choose, and floors that it must keep."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import SpaceError
from rayforget.frontier.points import TaskRole
from rayforget.frontier.recovered import Pair

MAX_FORGETTING = 0.01
"""The default limit, one point: reports name the best point within it."""
SLACK = 1e-9
"""Tolerance of a floor, since scores are ratios of sums: 0.58 - 0.01 must admit 0.57."""

Rule = Literal["speciality", "generality", "weights", "knee"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a point must keep on `val`, and which of those that keep it is the best; in score units, 0.01 = one point.

    As it stands: the best speciality for at most one point of generality, which is the point that reports mark.
    """

    rule: Rule = "speciality"
    """The best is that with the most speciality, with the most generality, with the largest weighted sum of the two, or
    at the frontier's knee (`pick.bulges`)."""
    weights: Pair = (1.0, 1.0)
    """The weights of speciality and generality in the sum."""
    max_forgetting: float | None = MAX_FORGETTING
    """The largest loss of generality against theta_0; negative demands a gain; None sets no limit."""
    min_speciality: float | None = None
    """The least speciality: a score, not a gain."""
    keep: Mapping[str, float] = field(default_factory=dict)
    """Task or group -> the largest loss of its score against theta_0."""
    sure: bool = False
    """Whether the lower end of the paired 95 % interval must keep each limit, not the measured value alone."""


def limits_in_points(
    *,
    max_forgetting: float | None = None,
    min_speciality: float | None = None,
    knee: bool = False,
    weights: Pair | None = None,
    keep: Mapping[str, float] | None = None,
    sure: bool = False,
) -> Limits:
    """Limits as people give them, in points of a percent.

    If `min_speciality`, `knee` or `weights` is given, the limit of one point of forgetting is not assumed. With
    `min_speciality` alone, the best point is that with the most generality; with `max_forgetting` too, that with the
    most speciality within both.

    Raises:
        SpaceError: two rules are asked for, a number makes no sense, or `sure` limits nothing.
    """
    if knee and weights is not None:
        raise SpaceError("a knee and weights are two rules for the best point; ask for one of them")
    numbers = {"max_forgetting": max_forgetting, "min_speciality": min_speciality}
    for name, number in [*numbers.items(), *(keep or {}).items()]:
        if number is not None and not math.isfinite(number):
            raise SpaceError(f"{name} must be a number of points, got {number}")
    if weights is not None and not (min(weights) >= 0 and 0 < sum(weights) < math.inf):
        raise SpaceError(f"weights must not be negative, nor both 0; got {weights[0]:g}:{weights[1]:g}")
    rule: Rule = "speciality"
    if knee:
        rule = "knee"
    elif weights is not None:
        rule = "weights"
    elif min_speciality is not None and max_forgetting is None:
        rule = "generality"
    by_default = MAX_FORGETTING if rule == "speciality" else None
    most = by_default if max_forgetting is None else max_forgetting / 100
    if sure and most is None and min_speciality is None and not keep:
        raise SpaceError("sure has no effect where nothing is limited; add a limit, or leave it out")
    return Limits(
        rule=rule,
        weights=weights or (1.0, 1.0),
        max_forgetting=most,
        min_speciality=None if min_speciality is None else min_speciality / 100,
        keep={name: points / 100 for name, points in (keep or {}).items()},
        sure=sure,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelScores:
    """Scores of models by task and together; arrays share their leading shape."""

    tasks: Mapping[str, Floats]
    """Task -> shape (...)."""
    pairs: Floats
    """(S, G), shape (..., 2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """One limit: what a point's score, or its difference to theta_0's, must not fall below."""

    of: Literal["generality", "speciality", "task", "group"]
    name: str
    """The name by which it was asked for: the task's or group's, else as `of`."""
    tasks: tuple[str, ...] = ()
    """The tasks whose mean it is, if it is a task's or a group's."""
    relative: bool
    """Whether the floor is that of the difference to theta_0."""
    least: float
    """The floor in score units; minus the largest loss if it is a difference's."""

    def values(self, models: ModelScores, theta_0: ModelScores) -> Floats:
        """The score, or the difference; leading shapes are broadcast."""
        own = self._score(models)
        return own - self._score(theta_0) if self.relative else own

    def _score(self, models: ModelScores) -> Floats:
        if self.of in ("speciality", "generality"):
            pair: Floats = models.pairs[..., ("speciality", "generality").index(self.of)]
            return pair
        mean: Floats = np.mean([models.tasks[task] for task in self.tasks], axis=0)
        return mean


def floors_of(limits: Limits, roles: Sequence[TaskRole]) -> tuple[Floor, ...]:
    """The limits as floors: forgetting, speciality, then tasks and groups as given.

    A name that a task and a group share is the task's.

    Raises:
        SpaceError: `keep` names no scored task and no group of generality tasks.
    """
    floors = []
    if limits.max_forgetting is not None:
        least = -limits.max_forgetting
        floors.append(Floor(of="generality", name="generality", relative=True, least=least))
    if limits.min_speciality is not None:
        floors.append(Floor(of="speciality", name="speciality", relative=False, least=limits.min_speciality))
    groups: dict[str, list[str]] = {}
    for role in roles:
        if role.role == "generality":
            groups.setdefault(role.group, []).append(role.name)
    for name, loss in limits.keep.items():
        if any(role.name == name for role in roles):
            floors.append(Floor(of="task", name=name, tasks=(name,), relative=True, least=-loss))
        elif name in groups:
            floors.append(Floor(of="group", name=name, tasks=tuple(groups[name]), relative=True, least=-loss))
        else:
            tasks, known = ", ".join(role.name for role in roles), ", ".join(groups)
            raise SpaceError(f"{name!r} is no task and no group of this sweep; tasks: {tasks}; groups: {known}")
    return tuple(floors)
