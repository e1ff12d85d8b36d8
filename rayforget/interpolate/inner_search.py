"""A path with domains and a budget of evaluations -> the spots to score: its inner search, which sees `val` alone.

Each checkpoint takes two rounds, each one pass over the data. The first takes half of the budget: a Latin hypercube
(McKay et al. 1979) over the domains and alpha, so that few draws cover each of them evenly. The second takes the rest
from a box half as wide in every dimension, around the spot of the first round that adds most area to the frontier; if
none adds any, it draws from everywhere again. The draws depend on the seed alone.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rayforget.frontier.hypervolume import hypervolume
from rayforget.space.curve_paths import SearchedPath
from rayforget.space.domains import ChoiceDomain, Domain, Scalar
from rayforget.values.points import Spot

_DIGITS = 4
"""Significant digits of a drawn number, which becomes part of a path's text."""
_ALPHA_DECIMALS = 4

Unit = tuple[float, ...]
"""A spot in the unit cube: a number in [0, 1) for each domain in order, then one for alpha."""


def num_first(evaluations: int) -> int:
    """How many spots of a budget the first round draws."""
    return math.ceil(evaluations / 2)


def draw(path: SearchedPath, count: int, *, highest: float, seed: int, around: Unit | None = None) -> dict[Unit, Spot]:
    """The spots of one round; fewer than `count` if several are the same model.

    Args:
        path: the path whose domains are sampled.
        count: the number of draws.
        highest: alpha is drawn from (0, highest].
        seed: equal seeds give equal spots.
        around: the centre of a box half as wide; None draws from everywhere.
    """
    rng = np.random.default_rng(seed)
    cube = _latin(count, len(path.domains) + 1, rng)
    shrunk = [not isinstance(domain, ChoiceDomain) for domain in path.domains.values()] + [True]
    found: dict[Spot, Unit] = {}
    for row in cube:
        unit = tuple(
            float(min(max(centre - 0.25, 0.0), 0.5) + u / 2 if shrinks else u)
            for u, centre, shrinks in zip(row, around or row, [around is not None and s for s in shrunk], strict=True)
        )
        values = {at: _value(domain, u) for (at, domain), u in zip(path.domains.items(), unit, strict=False)}
        alpha = round(highest * (1 - unit[-1]), _ALPHA_DECIMALS)
        found.setdefault(Spot(alpha, path.text(values)), unit)
    return {unit: spot for spot, unit in found.items() if spot.alpha > 0}


def best_of(
    drawn: Mapping[Unit, Spot], scores: Mapping[Spot, tuple[float, float]], frontier: Sequence[tuple[float, float]]
) -> Unit | None:
    """The drawn spot that adds most area to the frontier; None if none adds any.

    Args:
        drawn: what `draw` gave.
        scores: (speciality, generality) of the spots that have scores.
        frontier: (speciality, generality) of all other points.
    """
    pairs = [scores[spot] for spot in drawn.values() if spot in scores]
    if not pairs:
        return None
    known = np.array([*frontier, *pairs]).reshape(-1, 2)
    reference = known.min(axis=0)
    others = np.array(frontier, dtype=np.float64).reshape(-1, 2)
    base = hypervolume(others, reference)

    def added(unit: Unit) -> float:
        pair = scores.get(drawn[unit])
        return 0.0 if pair is None else hypervolume(np.concatenate([others, [pair]]), reference) - base

    best = max(drawn, key=lambda unit: (added(unit), unit))
    return best if added(best) > 0 else None


def _latin(count: int, dimensions: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Shape (count, dimensions): every dimension has one draw in each of `count` equal intervals of [0, 1)."""
    strata = np.stack([rng.permutation(count) for _ in range(dimensions)], axis=1)
    drawn: NDArray[np.float64] = (strata + rng.random((count, dimensions))) / max(count, 1)
    return drawn


def _value(domain: Domain, u: float) -> Scalar:
    """The domain's value at this share of its width."""
    if isinstance(domain, ChoiceDomain):
        return domain.choice[int(u * len(domain.choice))]
    low, high = float(domain.low), float(domain.high)
    if isinstance(domain.low, int):
        high += 1  # makes every whole number equally likely
    value = low * (high / low) ** u if domain.log else low + u * (high - low)
    if domain.step is not None and isinstance(domain.low, float):
        steps = int(u * (math.floor((high - low) / domain.step + 1e-9) + 1))
        value = low + steps * domain.step
    if isinstance(domain.low, int):
        step = int(domain.step or 1)
        return domain.low + (int(value) - domain.low) // step * step
    return min(max(float(f"{value:.{_DIGITS}g}"), low), high)
