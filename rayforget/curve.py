"""theta_0, theta_1 and a scorer -> the alpha curve: the common grid, the asked alpha, and alphas that promise most."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from rayforget.bench import Bench
from rayforget.distributed import from_rank_0, rank
from rayforget.evaluate.finite import NotFinite, Scored, require_finite
from rayforget.foundations.protocol import Scorer
from rayforget.heartbeat import beat
from rayforget.interpolate.adaptive import next_alphas
from rayforget.interpolate.lerp import lerp
from rayforget.record.types import Point, Score, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredCurve:
    """One checkpoint's curve on `val`."""

    points: tuple[Point, ...]
    """Ascending in alpha; theta_0 and theta_1 are among them."""
    dropped: Mapping[float, NotFinite]
    """Alphas that have no scores; extrapolation can lead to numbers that are not finite."""

    @property
    def facts(self) -> dict[str, Any]:
        """What the record notes of it: nothing, or each dropped alpha and its tasks' items without a finite output."""
        dropped = [{"alpha": alpha, "tasks": dict(why.items)} for alpha, why in sorted(self.dropped.items())]
        return {"dropped_alphas": dropped} if dropped else {}


def score_curve(
    theta_0: Mapping[str, Tensor],
    theta_1: Mapping[str, Tensor],
    *,
    asked: float | None,
    frontier: Sequence[tuple[float, float]],
    scorer: Scorer,
    bench: Bench,
) -> ScoredCurve:
    """Scores the common coarse grid and the asked alpha, then up to `curve.refine` further alphas.

    Every rank calls it. An alpha whose outputs are not finite is dropped: it is no point, and the curve goes on.

    Args:
        theta_0: as for `score_alphas`.
        theta_1: likewise.
        asked: the searcher's alpha, where this checkpoint is the one that it asked for.
        frontier: (speciality, generality) of what a refined alpha must beat.
        scorer: of the recipe's head.
        bench: the worker's.

    Raises:
        TrainingError: on every rank, where theta_1 itself (alpha = 1) has no scores.
    """
    coarse = frozenset(bench.space.curve.coarse)
    wanted = sorted({*coarse, *(() if asked is None else (asked,))} - {0.0})
    scored = score_alphas(theta_0, theta_1, wanted, scorer, "val", bench)
    require_finite(
        scored[1.0], "val", model="theta_1", advice="its weights diverged: lower learning_rate or raise a strength"
    )
    scores = {0.0: bench.theta_0_scores("val")} | _finite(scored)
    budget = bench.space.curve.refine
    while budget > 0:
        promising = _promising(scores, frontier, min(2, budget), bench) if rank() == 0 else []
        alphas = [alpha for alpha in from_rank_0(promising, bench.device) if alpha not in scored]
        if not alphas:
            break
        found = score_alphas(theta_0, theta_1, alphas, scorer, "val", bench)
        scored |= found
        scores |= _finite(found)
        budget -= len(alphas)
    return ScoredCurve(
        points=tuple(Point(alpha=alpha, coarse=alpha in coarse, scores=scores[alpha]) for alpha in sorted(scores)),
        dropped={alpha: found for alpha, found in scored.items() if isinstance(found, NotFinite)},
    )


def score_alphas(
    theta_0: Mapping[str, Tensor],
    theta_1: Mapping[str, Tensor],
    alphas: Iterable[float],
    scorer: Scorer,
    split: Split,
    bench: Bench,
) -> dict[float, Scored]:
    """Scores theta(alpha) for each of `alphas`, as many models per pass as fit in memory and as the scorer gains from.

    The lerp is done on CPU whatever the device, so that a model rebuilt anywhere is, bit for bit, the one scored.

    Args:
        theta_0: holds at least the tensors of `theta_1`.
        theta_1: the tensors that differ from theta_0; on CPU in fp32.
        alphas: in any order; the same on every rank.
        scorer: of the recipe's head.
        split: what is scored.
        bench: gives device and memory.
    """
    alphas = list(alphas)
    model_bytes = sum(tensor.numel() * tensor.element_size() for tensor in theta_1.values())
    resident = max(1, int(bench.space.resources.resident_gib * 2**30) // max(1, model_bytes))
    resident = min(resident, scorer.models_per_pass or resident)
    scores: dict[float, Scored] = {}
    for first in range(0, len(alphas), resident):
        beat(f"evaluate {split}", first, len(alphas))
        scores |= _score_together(theta_0, theta_1, alphas[first : first + resident], scorer, split, bench)
    return scores


def _score_together(
    theta_0: Mapping[str, Tensor],
    theta_1: Mapping[str, Tensor],
    alphas: Sequence[float],
    scorer: Scorer,
    split: Split,
    bench: Bench,
) -> dict[float, Scored]:
    """One pass; a function of its own, so that its models are gone before the next ones are made."""
    thetas = [
        {name: tensor.to(bench.device) for name, tensor in lerp(theta_0, theta_1, alpha).items()} for alpha in alphas
    ]
    return dict(zip(alphas, scorer.score(thetas, split), strict=True))


def _promising(
    scores: Mapping[float, Mapping[str, Score]], frontier: Sequence[tuple[float, float]], budget: int, bench: Bench
) -> list[float]:
    curve = [(alpha, *bench.objectives(values)) for alpha, values in scores.items()]
    return next_alphas(curve, np.array(frontier, dtype=np.float64).reshape(-1, 2), budget=budget)


def _finite(scored: Mapping[float, Scored]) -> dict[float, dict[str, Score]]:
    return {alpha: found for alpha, found in scored.items() if not isinstance(found, NotFinite)}
