"""Scores of theta_0 and of a theta_1 in fp32 and in faster precisions -> the precision in which a sweep scores `val`.

A faster precision is taken if on all of `val`, for either model and for S and G alike,

    share of items whose result changes <= 0.1 standard errors,   |shift| <= 0.1 standard errors

with both averaged over tasks as S and G are, and the standard errors those of S and G over items. Of those that pass
the fastest is taken, if it is faster than fp32.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rayforget.errors import RecordError
from rayforget.evaluate.finite import NotFinite, Scored, require_finite, require_theta_1
from rayforget.frontier.points import THETA_0, TaskRole, aggregate
from rayforget.record.retention import standard_errors
from rayforget.record.sweep import Sweep
from rayforget.space.parts import Resources
from rayforget.space.precision import FULL, REDUCED, ScoringPrecision, precision_in
from rayforget.values.scores import Score

ALLOWED = 0.1
"""Standard errors that a precision may change."""
_NOTICED = 0.01
"""Standard deviations by which a result that is no class or count must change to count as changed."""

Scores = Mapping[str, Score]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Both models in one precision."""

    theta_0: Scored
    theta_1: Scored
    seconds: float
    """Of theta_1's scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """How a precision changes one model's scores; each a pair for S and for G, in standard errors."""

    changed: tuple[float, float]
    shift: tuple[float, float]

    @property
    def largest(self) -> float:
        """The largest of the four."""
        return max(*self.changed, *map(abs, self.shift))


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The precision of a sweep's scores on `val`, and what it was chosen by."""

    precision: ScoringPrecision
    seconds: Mapping[str, float]
    """Precision -> seconds for theta_1's scores, once theta_0's had warmed it up."""
    deviations: Mapping[str, float | None]
    """Faster precision -> the largest `Deviation` of both models; None if they do not run in it, if outputs were not
    finite, or if something changed where there are no standard errors."""

    @property
    def facts(self) -> dict[str, Any]:
        """As the record notes it."""
        rounded = {name: None if each is None else round(each, 4) for name, each in self.deviations.items()}
        seconds = {name: round(each, 3) for name, each in self.seconds.items()}
        return {"precision": self.precision, "seconds": seconds, "standard_errors": rounded, "allowed": ALLOWED}


def choose_precision(measure: Callable[[ScoringPrecision], Measured | None], roles: Sequence[TaskRole]) -> Choice:
    """Measures fp32 and every faster precision, and takes the fastest that changes next to nothing.

    Args:
        measure: scores both models on all of `val`; None if they do not run in a faster precision.
        roles: each task's role.

    Raises:
        TrainingError: a model has no scores in fp32.
    """
    exact = measure(FULL)
    assert exact is not None
    require_finite(exact.theta_0, "val", model="theta_0", advice="are the foundation's weights intact?")
    require_theta_1(exact.theta_1)
    seconds: dict[str, float] = {FULL: exact.seconds}
    deviations: dict[str, float | None] = {}
    for precision in REDUCED:
        found = measure(precision)
        deviations[precision] = None if found is None else _largest(exact, found, roles)
        if found is not None:
            seconds[precision] = found.seconds
    passing = [FULL, *(name for name in REDUCED if _passes(deviations[name]))]
    fastest = min(passing, key=lambda name: seconds[name])
    return Choice(precision=fastest, seconds=seconds, deviations=deviations)


def measured(theta_0: Callable[[], Scored], theta_1: Callable[[], Scored]) -> Measured:
    """Scores theta_0, which reads data and warms up kernels, then theta_1 by the clock."""
    first = theta_0()
    started = time.perf_counter()
    second = theta_1()
    return Measured(theta_0=first, theta_1=second, seconds=time.perf_counter() - started)


def deviation(exact: Scores, fast: Scores, roles: Sequence[TaskRole]) -> Deviation:
    """How far one model's scores are from those in fp32, item by item and in S and G; in standard errors."""
    errors = standard_errors(exact, roles)
    shares = np.array([_share_changed(exact[role.name], fast[role.name]) for role in roles])
    shifts = np.array([fast[role.name].value - exact[role.name].value for role in roles])

    def in_errors(of_tasks: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
        special, general = (
            float(value / error) if error > 0 else float(np.inf if value else 0.0)
            for value, error in zip(aggregate(of_tasks, roles), errors, strict=True)
        )
        return special, general

    return Deviation(changed=in_errors(shares), shift=in_errors(shifts))


def _share_changed(exact: Score, fast: Score) -> float:
    """Share of the items of which a result changed: a class or a count at all, another number noticeably."""
    before, after = (score.items.astype(np.float64).reshape(len(score.items), -1) for score in (exact, fast))
    whole = all((each == np.round(each)).all() for each in (before, after))
    noticed = 0.0 if whole else _NOTICED * before.std(axis=0, keepdims=True)
    return float((np.abs(after - before) > noticed).any(axis=1).mean()) if len(before) else 0.0


def _largest(exact: Measured, found: Measured, roles: Sequence[TaskRole]) -> float | None:
    gaps = []
    for before, after in ((exact.theta_0, found.theta_0), (exact.theta_1, found.theta_1)):
        if isinstance(before, NotFinite) or isinstance(after, NotFinite):
            return None
        gaps.append(deviation(before, after, roles).largest)
    largest = max(gaps)
    return largest if np.isfinite(largest) else None


def _passes(largest: float | None) -> bool:
    return largest is not None and largest <= ALLOWED


def settled(resources: Resources, bound: ScoringPrecision | None, sweep: str) -> ScoringPrecision | None:
    """The precision of a sweep's scores on `val`; None if it is still to be chosen.

    Args:
        resources: the space's.
        bound: what the sweep's record has; None if it has no scores yet.
        sweep: the sweep's name.

    Raises:
        RecordError: the space asks for another precision than that of the sweep's scores.
    """
    asked = resources.evaluation_precision
    if asked == "auto":
        return bound or (FULL if resources.gpus_per_worker == 0 else None)
    if bound not in (None, asked):
        raise RecordError(
            f"the points of sweep {sweep} were scored in {bound}, resources.evaluation_precision is {asked}, and a "
            f"sweep's points must compare; write {bound}, or start another sweep"
        )
    return asked


def precision_of_records(sweep: Sweep) -> ScoringPrecision | None:
    """The precision of the scores in a sweep's record; None if there are none.

    Theta_0's record says it, or where that was deleted any other.
    """
    trials = sweep.trials()
    for trial in dict.fromkeys([*([THETA_0] if THETA_0 in trials else []), *trials]):
        record = sweep.record(trial, trials[trial][-1])
        if record.points:
            return precision_in(record.provenance)
    return None
