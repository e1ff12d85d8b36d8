"""Resampled scores -> 95 % intervals of what is recovered, over items, plain fine-tuning's seeds, and trainings.

Each level is treated in its own way:

- *Items* are many: they are drawn with replacement (`uncertainty.bootstrap`).
- *Seeds of plain fine-tuning*, whose mean is the corner of the box, are few. In each resample of the items their mean x
  is moved by its own error, x + t s / sqrt(n), with t from Student's distribution with n - 1 degrees of freedom.
- *Trainings of a method* are treated likewise, in their mean.

For normal trainings and infinitely many items that is exactly Student's interval. Drawing few with replacement is not:
the percentile bootstrap's nominal 95 % interval of a normal mean covers 80 % at n = 4. The items' chance effect on each
model is already in s, and again in the resamples; it is taken out of s, or small sets of items would count it three
times.

**Why the mean over trainings.** A frontier of n trainings is a kind of maximum, and no interval of a maximum holds for
so few: n trainings drawn with replacement are about 0.63 n different ones, so that the frontier is biased downward and
its best point is in 1 - (1 - 1/n)^n of the resamples; the jackknife sees only the gap between the best and the second.
For the expectation of a plain maximum, each with Student's quantiles, the jackknife covers 70 to 80 %, the inflated
bootstrap 69 to 90 %, at n = 4 and n = 12 alike. What *one* training recovers alone has a mean over trainings, and a
mean has honest intervals: methods are compared by it. The interval of a frontier takes its trainings as given.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from rayforget.frontier.hypervolume import hypervolumes

MAX_EMPTY_SHARE = 0.05
"""An interval of recovered is undefined if a larger share of the resamples has an empty box."""
MEASURED_COVERAGE = {2: 0.92, 3: 0.93, 4: 0.93, 6: 0.95, 8: 0.96, 12: 0.97}
"""Number of trainings -> share of simulated sweeps whose interval of the mean held the truth (nominal: 95 %), from 1500
sweeps each, simulated and measured again by `tests/frontier/test_coverage.py`."""
_TAIL = (2.5, 97.5)
_STUDENT_DRAWS = 200
"""Number of quantiles that represent Student's distribution in a mean over trainings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A 95 % interval of recovered."""

    low: float | None
    high: float | None
    empty_share: float
    """Share of the resamples in which plain fine-tuning gained or lost nothing."""
    reason: str | None = None
    """Why the interval is undefined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxes:
    """The baselines' box in every resample."""

    corner: NDArray[np.float64]
    """(S(theta_0), G(plain)), shape (num_resamples, 2)."""
    area: NDArray[np.float64]
    """The box's area, shape (num_resamples,)."""
    full: NDArray[np.bool_]
    """Whether plain fine-tuning gained and lost something, shape (num_resamples,)."""

    @property
    def empty_share(self) -> float:
        """Share of the resamples without a box."""
        return float(1 - self.full.mean())

    @property
    def doubt(self) -> Interval | None:
        """The undefined interval, if too many resamples have no box; None if enough have one."""
        if self.empty_share <= MAX_EMPTY_SHARE:
            return None
        share = f"{100 * self.empty_share:.0f} %"
        reason = f"plain fine-tuning gained no speciality or lost no generality in {share} of the resamples"
        return Interval(low=None, high=None, empty_share=self.empty_share, reason=reason)

    def shares(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """What these points recover in every resample with a box: (num_resamples, num_points, 2) -> (num_full,)."""
        found: NDArray[np.float64] = hypervolumes(values[self.full], self.corner[self.full]) / self.area[self.full]
        return found


def boxes(theta_0: NDArray[np.float64], tuned: NDArray[np.float64]) -> Boxes:
    """The box of every resample.

    Args:
        theta_0: shape (num_resamples, 2).
        tuned: plain fine-tuning's mean, shape (num_resamples, 2).
    """
    gain, loss = tuned[:, 0] - theta_0[:, 0], theta_0[:, 1] - tuned[:, 1]
    corner = np.stack((theta_0[:, 0], tuned[:, 1]), axis=-1)
    return Boxes(corner=corner, area=gain * loss, full=(gain > 0) & (loss > 0))


def errors_of_seeds(
    seeds: NDArray[np.float64], resampled: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draws of the error of the seeds' mean x that comes from their small number, beyond that of the items.

        c sqrt((n - 1) / chi2) sum_j z_j (x_j - x) / sqrt(n (n - 1)),   z_j standard normal, chi2 of n - 1 degrees

    has Student's distribution in every direction of (S, G), with the seeds' covariance. c^2 is the share of their
    variance that is not due to the items (`_own_share`). One seed has no known error: it gets none.

    Args:
        seeds: (S, G) of each seed, shape (num_seeds, 2).
        resampled: the same in every resample of the items, shape (num_resamples, num_seeds, 2).
        rng: source of the draws.

    Returns:
        Shape (num_resamples, 2).
    """
    num_resamples, num_seeds, _ = resampled.shape
    if num_seeds < 2:
        return np.zeros((num_resamples, 2))
    freedom = num_seeds - 1
    steps = rng.standard_normal((num_resamples, num_seeds)) / np.sqrt(num_seeds * freedom)
    steps *= np.sqrt(freedom / rng.chisquare(freedom, size=(num_resamples, 1)))
    moved: NDArray[np.float64] = steps @ (seeds - seeds.mean(axis=0)) * np.sqrt(_own_share(seeds, resampled))
    return moved


def interval_of_frontier(points: NDArray[np.float64], within: Boxes) -> Interval:
    """The interval of what chosen points recover, over items and plain fine-tuning's seeds, for these very trainings.

    Args:
        points: shape (num_resamples, num_points, 2); chosen on other data, and the same in every resample.
        within: the boxes of the same resamples.
    """
    if (doubt := within.doubt) is not None:
        return doubt
    return _interval(within.shares(points), within)


def interval_of_mean(shares: NDArray[np.float64], resampled: NDArray[np.float64], within: Boxes) -> Interval | None:
    """The interval of what one training recovers alone, in the mean over a method's recipes.

    Recipes are taken as independent draws of one distribution. Recipes that a sampler chose after seeing others are
    not: they crowd where it found good ones. Their mean is then that of the sampler's choices, better than that of the
    method's domain, and the interval is too narrow for either.

    Args:
        shares: what each recipe recovers, in the mean over its seeds, shape (num_recipes,).
        resampled: the same in every resample with a box, shape (num_full, num_recipes).
        within: the boxes of the resamples.

    Returns:
        None for a single recipe: how much another would differ is unknown.
    """
    num = len(shares)
    if num < 2:
        return None
    if (doubt := within.doubt) is not None:
        return doubt
    own = shares.var(ddof=1) * _own_share(shares, resampled)
    return _interval(resampled.mean(axis=1)[:, None] + np.sqrt(own / num) * _student(num - 1), within)


def _own_share(found: NDArray[np.float64], resampled: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of the variance between models that is theirs and not due to the items' effect on each.

    The items' variance is in the observed variance s^2 once and in a resample's twice, so it is mean(s_b^2) - s^2. The
    resamples of the mean contain it already.

    Args:
        found: shape (num_models, ...).
        resampled: shape (num_resamples, num_models, ...).

    Returns:
        Shape (...), in [0, 1].
    """
    between = found.var(axis=0, ddof=1)
    luck = np.maximum(resampled.var(axis=1, ddof=1).mean(axis=0) - between, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        share: NDArray[np.float64] = np.where(between > 0, np.maximum(1 - luck / between, 0.0), 0.0)
    return share


def measured_coverage(num: int) -> tuple[int, float]:
    """The largest number of trainings, up to `num`, for which the mean's interval was simulated, and its coverage."""
    tried = max(known for known in MEASURED_COVERAGE if known <= num)
    return tried, MEASURED_COVERAGE[tried]


def percentile_interval(resampled: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ends of the 95 % interval of resampled values: (num_resamples, ...) -> (2, ...), low and high."""
    # Hazen's positions: for quantiles at (k + 1/2) / K, as Student's are here, they give the distribution's own.
    ends: NDArray[np.float64] = np.percentile(resampled, _TAIL, axis=0, method="hazen")
    return ends


def _interval(values: NDArray[np.float64], within: Boxes) -> Interval:
    """The interval of resampled values, cut off at 0: nothing is recovered less than not at all."""
    low, high = np.maximum(percentile_interval(values.ravel()), 0.0)
    return Interval(low=float(low), high=float(high), empty_share=within.empty_share)


@cache
def _student(freedom: int) -> NDArray[np.float64]:
    """Equally likely values of Student's t: quantiles of many draws, since numpy lacks its quantile function."""
    draws = np.random.default_rng(freedom).standard_t(freedom, size=100_000)
    values: NDArray[np.float64] = np.quantile(draws, (np.arange(_STUDENT_DRAWS) + 0.5) / _STUDENT_DRAWS)
    values.flags.writeable = False
    return values
