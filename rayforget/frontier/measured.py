"""Scores of some points on one split -> their (S, G) with paired errors, and statistics of several together."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import RecordError
from rayforget.frontier.band import Band, band_of
from rayforget.frontier.each_training import Recipes
from rayforget.frontier.intervals import Boxes, Interval, boxes, errors_of_seeds, interval_of_frontier, interval_of_mean
from rayforget.frontier.points import PointKey, TaskRole, trade_offs
from rayforget.frontier.recovered import Pair, Recovered, recovered
from rayforget.frontier.summary import Baseline, Measure, OneTraining
from rayforget.frontier.trainings import Trainings
from rayforget.frontier.uncertainty import Draws, bootstrap, stack_scores, standard_error
from rayforget.metrics.scored_items import ScoredItems
from rayforget.values.scores import Score, Split

_TOGETHER = 256
"""Number of points whose items are in memory at once; each such batch draws the same resamples again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One split's (S, G), and the resamples from which errors of means and differences come.

    Points are identified by their indices in the summary. Statistics that involve a point not measured are None.
    """

    pairs: Mapping[int, Pair]
    """Point -> (S, G)."""
    resampled: Mapping[int, NDArray[np.float64]] | None
    """Point -> (S, G) in every resample, shape (num_resamples, 2); None if there was no bootstrap."""
    theta_0: int
    """theta_0's point, to which differences are taken."""
    shares: Mapping[tuple[int, ...], NDArray[np.float32]] = field(default_factory=dict)
    """Points that represent one training -> what they recover in every resample with a box, shape (num_full,). Of
    thousands of trainings the points' own resamples would not fit into memory."""
    seed: int = 0
    """Seed of the errors of plain fine-tuning's seeds in `interval` and `one_training`."""
    plain_is_drawn: bool = True
    """Whether plain fine-tuning's models are draws (its seeds), whose mean has an error of its own; given ones are not.
    """

    def mean(self, points: Sequence[int]) -> Measure | None:
        """Mean of these models, with the error due to their items (their seeds are taken as given)."""
        if not points or any(i not in self.pairs for i in points):
            return None
        special, general = _pair(np.mean([self.pairs[i] for i in points], axis=0))
        if self.resampled is None:
            return Measure(speciality=special, generality=general)
        resampled = np.mean([self.resampled[i] for i in points], axis=0)
        errors, differences = _pair(standard_error(resampled)), None
        if self.theta_0 in self.resampled:
            differences = _pair(standard_error(resampled - self.resampled[self.theta_0]))
        return Measure(
            speciality=special,
            generality=general,
            speciality_error=errors[0],
            generality_error=errors[1],
            difference_errors=differences,
        )

    def spread(self, points: Sequence[int]) -> Pair | None:
        """Standard deviation of S and G over these models (ddof = 1); None for fewer than two."""
        if len(points) < 2 or any(i not in self.pairs for i in points):
            return None
        return _pair(np.std([self.pairs[i] for i in points], axis=0, ddof=1))

    def recovered(self, chosen: Sequence[int], *, plain: Sequence[int]) -> Recovered | None:
        """What the chosen points recover against theta_0 and the mean of `plain`."""
        (found,) = self._recovered([chosen], plain)
        return found

    def _recovered(self, groups: Iterable[Sequence[int]], plain: Sequence[int]) -> list[Recovered | None]:
        """What each group of points recovers."""
        base, tuned = self.mean([self.theta_0]), self.mean(plain)
        if base is None or tuned is None:
            return [None for _ in groups]
        errors = tuned.difference_errors or (0.0, 0.0)
        return [
            recovered(
                np.array([self.pairs[i] for i in own]).reshape(-1, 2),
                theta_0=base.pair,
                plain=tuned.pair,
                errors=errors,
            )
            if all(i in self.pairs for i in own)
            else None
            for own in groups
        ]

    def interval(self, chosen: Sequence[int], *, plain: Sequence[int]) -> Interval | None:
        """The interval of what the chosen points recover, for their very trainings."""
        within = self.boxes(plain)
        if within is None or any(i not in self.pairs for i in chosen):
            return None
        return interval_of_frontier(self._resampled(chosen), within)

    def band(self, chosen: Sequence[int]) -> Band | None:
        """The band in which the chosen points' staircase lies, paired with theta_0."""
        if self.resampled is None or not chosen or any(i not in self.resampled for i in (self.theta_0, *chosen)):
            return None
        return band_of(self._resampled(chosen), self.resampled[self.theta_0], self.pairs[self.theta_0])

    def one_training(self, recipes: Recipes, *, plain: Sequence[int]) -> OneTraining | None:
        """What one training recovers alone, in the mean over recipes; None if there is none or it is undefined."""
        alone = iter(self._recovered((own for trainings in recipes for own in trainings), plain))
        found = [[next(alone) for _ in trainings] for trainings in recipes]
        shares = [[one.value for one in each if one is not None and one.value is not None] for each in found]
        if not recipes or any(len(known) < len(each) for known, each in zip(shares, recipes, strict=True)):
            return None
        means = np.array([np.mean(known) for known in shares])
        within, interval = self.boxes(plain), None
        if within is not None:
            each = [[self.shares[own] for own in trainings] for trainings in recipes]
            resampled = np.stack([np.mean(seeds, axis=0, dtype=np.float64) for seeds in each], axis=-1)
            interval = interval_of_mean(means, resampled, within)
        return OneTraining(mean=float(means.mean()), recipes=len(recipes), interval=interval)

    def boxes(self, plain: Sequence[int]) -> Boxes | None:
        """The box of every resample; plain fine-tuning's mean in it also has the error of its few seeds."""
        if self.resampled is None or not plain or any(i not in self.resampled for i in (self.theta_0, *plain)):
            return None
        seeds, rng = np.array([self.pairs[i] for i in plain]), np.random.default_rng([self.seed, len(plain)])
        resampled = self._resampled(plain)
        tuned = resampled.mean(axis=1)
        if self.plain_is_drawn:
            tuned = tuned + errors_of_seeds(seeds, resampled, rng)
        return boxes(self.resampled[self.theta_0], tuned)

    def _resampled(self, points: Sequence[int]) -> NDArray[np.float64]:
        """Shape (num_resamples, num_points, 2)."""
        assert self.resampled is not None
        return _stacked(points, self.resampled, len(self.resampled[self.theta_0]))


def measure(
    keys: Mapping[int, PointKey],
    scores: Mapping[PointKey, Mapping[str, Score]],
    roles: Sequence[TaskRole],
    *,
    theta_0: int,
    split: Split,
    num_resamples: int,
    seed: int,
    trainings: Trainings | None = None,
    plain_is_drawn: bool = True,
) -> Measured:
    """(S, G) of every point, resampled together: all points share the bootstrap's draws.

    Args:
        keys: the points whose resamples are kept.
        scores: point -> task -> score; read in the order of the points' numbers, some at a time, so that not all items
            need be in memory at once.
        roles: each task's role.
        theta_0: theta_0's point, to which differences are taken.
        split: the scores' split, for messages.
        num_resamples: 0 skips the bootstrap.
        seed: seed of the bootstrap.
        trainings: further points, of which only `Measured.shares` are kept.
        plain_is_drawn: as of `Measured`.

    Raises:
        RecordError: a point has no score for a task, or two points were not scored on the same items.
    """
    resampling = _Resampling(scores, roles, split, Draws(num_resamples=num_resamples, seed=seed))
    further = trainings or Trainings(points={}, alone=(), plain=())
    pairs: dict[int, Pair] = {}
    kept: dict[int, NDArray[np.float64]] = {}
    shares: dict[tuple[int, ...], NDArray[np.float32]] = {}

    def read(points: Iterable[int]) -> dict[int, NDArray[np.float64]]:
        own, drawn = resampling.of(
            {i: keys.get(i) or further.points[i].key for i in points if i not in pairs or i not in keys}
        )
        pairs.update(own)
        kept.update({i: each.copy() for i, each in drawn.items() if i in keys})
        return {**kept, **drawn}

    for lot in _lots([(i,) for i in (theta_0, *further.plain) if i in keys], known=()):
        read(chain.from_iterable(lot))
    found = Measured(
        pairs=pairs,
        resampled=kept if num_resamples and keys else None,
        theta_0=theta_0,
        seed=seed,
        plain_is_drawn=plain_is_drawn,
    )
    within, wanted = found.boxes(further.plain), set(further.alone)
    groups = {group: tuple(further.points[i] for i in group) for group in further.alone}
    if within is not None and further.known is not None:
        shares |= further.known.recall(within, groups)
        wanted -= shares.keys()
    # In the points' order, so that a training's items are read once for all that is asked of it.
    for lot in _lots(sorted({*wanted, *((i,) for i in keys)}), known=tuple(kept)):
        drawn = read(chain.from_iterable(lot))
        if within is not None:
            for group in wanted & set(lot):
                shares[group] = within.shares(_stacked(group, drawn, num_resamples)).astype(np.float32)
    if within is not None and further.known is not None and wanted:
        further.known.keep(within, groups, shares)
    for i, point in further.points.items():  # those whose items were not read
        pairs.setdefault(i, (point.speciality, point.generality))
    return replace(found, shares=shares)


class _Resampling:
    """Scores of some points at a time -> their (S, G), and these in every resample."""

    def __init__(
        self,
        scores: Mapping[PointKey, Mapping[str, Score]],
        roles: Sequence[TaskRole],
        split: Split,
        draws: Draws,
    ) -> None:
        self._scores, self._roles, self._split, self._draws = scores, roles, split, draws
        self._first: list[Mapping[str, Score]] = []
        """All points must be scored on the first one's items."""

    def of(self, keys: Mapping[int, PointKey]) -> tuple[dict[int, Pair], dict[int, NDArray[np.float64]]]:
        """(S, G) of the points, and in every resample, shape (num_resamples, 2); the latter only if there are any."""
        if not keys:
            return {}, {}
        found = {i: self._scores[key] for i, key in sorted(keys.items())}
        for i, scores in found.items():
            missing = [role.name for role in self._roles if role.name not in scores]
            if missing:
                raise RecordError(f"point {i} has no {self._split} score for task {', '.join(missing)}; score it again")
        scored = {role.name: _values([each[role.name] for each in found.values()], role.name) for role in self._roles}
        rows = [{role.name: scored[role.name][place] for role in self._roles} for place in range(len(found))]
        pairs = dict(zip(found, trade_offs(rows, self._roles), strict=True))
        if not self._draws.num_resamples:
            return pairs, {}
        items = partial(_items_of, [*self._first, *found.values()])
        drawn = bootstrap(items, self._roles, self._draws)[:, len(self._first) :]
        self._first = self._first or [next(iter(found.values()))]
        return pairs, {i: drawn[:, row] for row, i in enumerate(found)}


def _lots(groups: Sequence[tuple[int, ...]], *, known: Collection[int]) -> Iterator[list[tuple[int, ...]]]:
    """Groups of points in lots, so small that the items of those that are not known fit into memory together."""
    lot: list[tuple[int, ...]] = []
    points: set[int] = set()
    for group in groups:
        more = set(group) - set(known)
        if lot and len(points | more) > _TOGETHER:
            yield lot
            lot, points = [], set()
        lot.append(group)
        points |= more
    if lot:
        yield lot


def _stacked(
    points: Sequence[int], resampled: Mapping[int, NDArray[np.float64]], num_resamples: int
) -> NDArray[np.float64]:
    """Shape (num_resamples, num_points, 2)."""
    return np.stack([resampled[i] for i in points], axis=1) if points else np.empty((num_resamples, 0, 2))


def _items_of(models: Sequence[Mapping[str, Score]], task: str) -> ScoredItems:
    return stack_scores([scores[task] for scores in models], task=task)


def _values(scores: Sequence[Score], task: str) -> list[float]:
    """Each model's score, computed for all at once where they are of the same items."""
    alike = {(score.rule, score.package, score.items.shape, score.items_hash) for score in scores}
    if len(alike) > 1 or any(score.recorded is not None for score in scores):
        return [score.value for score in scores]
    return stack_scores(scores, task=task).values()


def baseline(points: tuple[int, ...], on_val: Measured, on_test: Measured) -> Baseline | None:
    """The baseline that is the mean of these models; None if there are none or `val` lacks one of them."""
    val = on_val.mean(points)
    if val is None:
        return None
    spread_val, spread_test = on_val.spread(points), on_test.spread(points)
    return Baseline(points=points, val=val, test=on_test.mean(points), spread_val=spread_val, spread_test=spread_test)


def _pair(values: NDArray[np.float64]) -> Pair:
    return (float(values[0]), float(values[1]))
