"""A synthetic sweep whose curves run along several paths."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from synthetic_sweep import ALPHAS, METHODS, World, curve

from rayforget.frontier.points import PointKey
from rayforget.values.points import Point
from rayforget.values.records import CheckpointRecord
from rayforget.values.scores import Score

LINES = ("lines(gamma=0.1)", "lines(gamma=0.5)")


def with_paths(
    records: list[CheckpointRecord], test: Mapping[PointKey, Mapping[str, Score]]
) -> tuple[list[CheckpointRecord], dict[PointKey, Mapping[str, Score]]]:
    """Two paths that forget less than the lerp, and a searched one; every training's lerp is unchanged."""
    worlds = World("val"), World("test")
    rng = np.random.default_rng(5)
    scored, changed = dict(test), []
    for number, record in enumerate(records):
        if not record.points or not record.recipe:
            changed.append(record)
            continue
        gain, loss, bump = METHODS["l2"]
        spots = [(alpha, path, True, 0.3 + place * 0.5) for place, path in enumerate(LINES) for alpha in ALPHAS[1:]]
        spots += [(round(rng.uniform(), 3), f"blocks(leads=[0,{rng.uniform():.3f}])", False, 0.8) for _ in range(3)]
        points = []
        for alpha, path, coarse, share in spots:
            found = [world.scores(*curve(gain, loss * share, bump, alpha), alpha, number) for world in worlds]
            points.append(Point(alpha=alpha, path=path, coarse=coarse, scores=found[0]))
            scored[PointKey(record.trial, record.step, alpha, path)] = found[1]
        changed.append(replace(record, points=(*record.points, *points)))
    return changed, scored
