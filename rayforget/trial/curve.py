"""theta_0, theta_1 and a scorer -> curves along every path: the common grid, the asked alpha, the most promising."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rayforget.distributed import from_rank_0, rank
from rayforget.evaluate.finite import NotFinite, Scored, require_theta_1
from rayforget.foundations.protocol import Scorer, State
from rayforget.heartbeat import beat
from rayforget.interpolate.adaptive import next_alphas
from rayforget.interpolate.inner_search import Unit, best_of, draw, num_first
from rayforget.space.curve_paths import CurvePaths, SearchedPath, curve_paths
from rayforget.space.path_text import LERP
from rayforget.space.seeds import derive_seed
from rayforget.trial.alpha_models import AlphaModels, Ends
from rayforget.trial.equipment import Equipment
from rayforget.values.points import Point, Spot
from rayforget.values.scores import Score, Split

_THETA_0, _THETA_1 = Spot(0.0), Spot(1.0)

Pairs = Sequence[tuple[float, float]]
"""(speciality, generality) of each point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredCurve:
    """One checkpoint's curves on `val`."""

    points: tuple[Point[Score], ...]
    """Lerp first, ascending in alpha along each path; includes theta_0 (once) and theta_1."""
    dropped: Mapping[Spot, NotFinite]
    """Spots without scores; extrapolation can lead to numbers that are not finite."""

    @property
    def facts(self) -> dict[str, Any]:
        """What the record notes: nothing, or each dropped alpha with the number of its items without a finite
        output."""
        dropped = [
            {"alpha": spot.alpha, **({} if spot.path == LERP else {"path": spot.path}), "tasks": dict(why.items)}
            for spot, why in sorted(self.dropped.items(), key=lambda item: item[0].order)
        ]
        return {"dropped_alphas": dropped} if dropped else {}


def score_curve(
    ends: Ends, *, asked: float | None, frontier: Pairs, scorer: Scorer, equipment: Equipment, seed: int
) -> ScoredCurve:
    """Scores in one go the spots that are certain to be needed, then those that look promising.

    Certain are the common coarse grid on every path without a domain, the asked alpha on the lerp, and the first round
    of each inner search. Then come the second rounds, and up to `curve.refine` further alphas, which all paths share.
    Every rank calls it. A spot whose outputs are not finite is dropped: it is no point, and the curves go on.

    Args:
        ends: the two ends of the paths.
        asked: the searcher's alpha, if this is the checkpoint it asked for.
        frontier: what a refined alpha must beat.
        scorer: the scorer of the recipe's head.
        equipment: the worker's.
        seed: seed of the inner searches.

    Raises:
        TrainingError: on every rank, if theta_1 itself (alpha = 1 of the lerp) has no scores.
    """
    coarse = equipment.space.curve.coarse
    paths = curve_paths(equipment.space.curve.paths)
    common = {Spot(alpha, path) for path in paths.fixed for alpha in coarse if alpha != 0}
    searches = [_Search(path, equipment, derive_seed(seed, "path", path.name)) for path in paths.searched]
    own = {Spot(asked)} - {_THETA_0} if asked is not None else set()
    certain = common | own | {spot for one in searches for spot in one.first}
    models = equipment.models(ends)
    scored = score_spots(models, sorted(certain, key=lambda spot: spot.order), scorer, "val", equipment)
    require_theta_1(scored[_THETA_1])
    scores = {_THETA_0: equipment.theta_0_scores("val")} | _finite(scored)
    budget = equipment.space.curve.refine
    while True:
        pairs = {spot: equipment.objectives(found) for spot, found in scores.items()}
        further = [spot for one in searches for spot in one.second(pairs, frontier)] if rank() == 0 else []
        promising = _promising(pairs, frontier, paths, min(2, budget)) if rank() == 0 and budget else []
        further, promising = from_rank_0((further, promising), equipment.device)
        promising = [spot for spot in promising if spot not in scored]
        spots = list(dict.fromkeys(spot for spot in (*further, *promising) if spot not in scored))
        searches = []
        if not spots:
            break
        found = score_spots(models, spots, scorer, "val", equipment)
        scored |= found
        scores |= _finite(found)
        budget -= len(promising)
    return ScoredCurve(
        points=tuple(
            Point(alpha=spot.alpha, path=spot.path, coarse=spot in common or spot == _THETA_0, scores=scores[spot])
            for spot in sorted(scores, key=lambda spot: spot.order)
        ),
        dropped={spot: found for spot, found in scored.items() if isinstance(found, NotFinite)},
    )


def score_spots(
    models: AlphaModels, spots: Iterable[Spot], scorer: Scorer, split: Split, equipment: Equipment
) -> dict[Spot, Scored]:
    """Scores each spot's model, on whatever path, as many per pass as fit in memory and as the scorer gains from.

    Every rank calls it. What it returns are the scores of models that a rebuild on any CPU gives bit for bit: those
    that the device made otherwise are scored again.

    Args:
        models: makes the models of a checkpoint's paths.
        spots: in any order; the same on every rank.
        scorer: the scorer of the recipe's head.
        split: the split to score.
        equipment: gives the memory.
    """
    spots = list(spots)
    resident = max(1, int(equipment.space.resources.resident_gib * 2**30) // max(1, models.ends.nbytes))
    resident = min(resident, scorer.models_per_pass or resident)
    scores: dict[Spot, Scored] = {}
    for first in range(0, len(spots), resident):
        beat(f"evaluate {split}", first, len(spots))
        together = spots[first : first + resident]
        scores |= _score_together(models.theta, together, scorer, split)
    disproved = models.disproved()
    for number, spot in enumerate(disproved):
        beat(f"evaluate {split} again", number, len(disproved))
        scores |= _score_together(models.from_cpu, [spot], scorer, split)
    return scores


def _score_together(
    make: Callable[[Spot], State], spots: Sequence[Spot], scorer: Scorer, split: Split
) -> dict[Spot, Scored]:
    """One pass; a function of its own, so that its models are gone before the next ones are made."""
    return dict(zip(spots, scorer.score([make(spot) for spot in spots], split), strict=True))


class _Search:
    """The two rounds of one path's inner search on one checkpoint."""

    def __init__(self, path: SearchedPath, equipment: Equipment, seed: int) -> None:
        self._path, self._equipment, self._seed = path, equipment, seed
        self._drawn = self._draw(num_first(path.evaluations), 0)

    @property
    def first(self) -> Iterable[Spot]:
        """The spots of the first round."""
        return self._drawn.values()

    def second(self, scores: Mapping[Spot, tuple[float, float]], frontier: Pairs) -> Iterable[Spot]:
        """The spots of the second round, once the first is scored."""
        mine = set(self.first)
        others = [*frontier, *(pair for spot, pair in scores.items() if spot not in mine)]
        rest = self._path.evaluations - num_first(self._path.evaluations)
        return self._draw(rest, 1, best_of(self._drawn, scores, others)).values()

    def _draw(self, count: int, number: int, around: Unit | None = None) -> dict[Unit, Spot]:
        highest = max(self._equipment.space.curve.coarse)
        return draw(self._path, count, highest=highest, seed=derive_seed(self._seed, str(number)), around=around)


def _promising(
    pairs: Mapping[Spot, tuple[float, float]], frontier: Pairs, paths: CurvePaths, budget: int
) -> list[Spot]:
    """The most promising spots between neighbours on each path's curve; every curve starts at theta_0."""
    curves = {
        path: [(spot.alpha, *pair) for spot, pair in pairs.items() if spot.path == path or spot == _THETA_0]
        for path in paths.fixed
    }
    known = np.array(frontier, dtype=np.float64).reshape(-1, 2)
    found = next_alphas({path: curve for path, curve in curves.items() if len(curve) > 1}, known, budget=budget)
    return [Spot(alpha, path) for alpha, path in found]


def _finite(scored: Mapping[Spot, Scored]) -> dict[Spot, dict[str, Score]]:
    return {spot: found for spot, found in scored.items() if not isinstance(found, NotFinite)}
