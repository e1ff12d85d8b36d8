"""Points scored on both splits -> whether what was best on `val`, where it was chosen, is best on `test`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rayforget.frontier.summary import Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """One objective of the points that were scored on both splits."""

    objective: Literal["speciality", "generality"]
    points: tuple[int, ...]
    """Indices into the summary's points, by their rank."""
    ranks: tuple[float, ...]
    """Rank on `val`, 1 the best; equal scores share the mean of their ranks."""
    val: tuple[float, ...]
    """Change from theta_0 on `val`."""
    test: tuple[float, ...]
    """The same on `test`."""
    correlation: float | None
    """Spearman's rank correlation between the splits; None if a split's scores are all equal."""
    optimism: float
    """Mean of what the change on `val` is above that on `test`: the price of choosing and scoring on the same items."""


def agreement(summary: Summary) -> tuple[Agreement, ...]:
    """Speciality's and generality's agreement; empty if fewer than two chosen points were scored on both splits."""
    base = summary.theta_0
    own = set(base.points)
    both = [i for i in sorted(summary.test) if i in summary.val and i not in own]
    if base.test is None or len(both) < 2:
        return ()
    return tuple(
        _agreement(objective, both, _column(summary, both, "val", place), _column(summary, both, "test", place))
        for place, objective in enumerate(("speciality", "generality"))
    )


def _agreement(objective: str, both: Sequence[int], val: NDArray[np.float64], test: NDArray[np.float64]) -> Agreement:
    ranks = mean_ranks(-val)
    order = np.lexsort((np.asarray(both), ranks))
    return Agreement(
        objective="speciality" if objective == "speciality" else "generality",
        points=tuple(both[i] for i in order),
        ranks=tuple(ranks[order].tolist()),
        val=tuple(val[order].tolist()),
        test=tuple(test[order].tolist()),
        correlation=_correlation(ranks, mean_ranks(-test)),
        optimism=float((val - test).mean()),
    )


def _column(summary: Summary, both: Sequence[int], split: str, place: int) -> NDArray[np.float64]:
    """Changes from theta_0 on a split."""
    measures, base = (summary.val, summary.theta_0.val) if split == "val" else (summary.test, summary.theta_0.test)
    assert base is not None  # looked at before
    return np.array([measures[i].pair[place] - base.pair[place] for i in both])


def mean_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1, ascending; equal values share the mean of theirs: [3, 1, 3] -> [2.5, 1, 2.5]."""
    ordered = np.sort(values)
    first, last = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    ranks: NDArray[np.float64] = (first + last + 1) / 2
    return ranks


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float | None:
    if first.std() == 0 or second.std() == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])
