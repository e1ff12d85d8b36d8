"""Models' items on one split -> intervals of what limits are about, paired with theta_0 item by item."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rayforget.errors import RecordError
from rayforget.frontier.baseline_errors import NUM_RESAMPLES, SEED
from rayforget.frontier.compare import Scores
from rayforget.frontier.intervals import percentile_interval
from rayforget.frontier.limits import Floats, Floor, ModelScores
from rayforget.frontier.points import PointKey, TaskRole, aggregate
from rayforget.frontier.uncertainty import Draws, bootstrap_tasks, stack_scores

_TOGETHER = 64
"""Number of points whose items are in memory at once, beside theta_0's; each such batch draws the same resamples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What one point reaches of a floor on one split, with its 95 % interval."""

    floor: Floor
    value: float
    """The score; for a relative floor the difference to theta_0. In score units."""
    low: float
    high: float


def reached(
    floors: Sequence[Floor], key: PointKey, scores: Scores, roles: Sequence[TaskRole], *, theta_0: PointKey
) -> tuple[Reached, ...]:
    """What a point reaches of each floor: percentile intervals of the paired bootstrap over items.

    Args:
        floors: the limits.
        key: the point.
        scores: both models' scores with items, on one split.
        roles: each task's role.
        theta_0: the pretrained model, to which differences are taken.

    Raises:
        RecordError: a score is missing, or the two were not scored on the same items.
    """
    (models, base), resampled = _measured([theta_0, key], scores, roles), _resampled([theta_0, key], scores, roles)
    found = []
    for floor in floors:
        value = floor.values(models, base)
        low, high = percentile_interval(floor.values(resampled[0], resampled[1])[:, 1])
        found.append(Reached(floor=floor, value=float(value[1]), low=float(low), high=float(high)))
    return tuple(found)


def lowest_values(
    floors: Sequence[Floor],
    keys: Sequence[PointKey],
    scores: Scores,
    roles: Sequence[TaskRole],
    *,
    theta_0: PointKey,
) -> Floats:
    """The lower end of each point's interval for each floor: shape (num_points, num_floors); raises as `reached`."""
    rows: list[Floats] = [np.empty((0, len(floors)))]
    for some in _batches(keys):
        models, base = _resampled([theta_0, *some], scores, roles)
        lows = [percentile_interval(floor.values(models, base)[:, 1:])[0] for floor in floors]
        rows.append(np.array(lows).reshape(len(floors), len(some)).T)
    return np.concatenate(rows)


def _batches(keys: Sequence[PointKey]) -> Iterator[Sequence[PointKey]]:
    for start in range(0, len(keys), _TOGETHER):
        yield keys[start : start + _TOGETHER]


def _resampled(keys: Sequence[PointKey], scores: Scores, roles: Sequence[TaskRole]) -> tuple[ModelScores, ModelScores]:
    """All models' scores in every resample, shape (num_resamples, num_models), and the first model's."""
    found = [scores[key] for key in keys]
    names = [role.name for role in roles]
    for key, of in zip(keys, found, strict=True):
        if missing := [name for name in names if name not in of]:
            raise RecordError(f"point {key.text} has no score for task {', '.join(missing)}; score it again")

    draws = Draws(num_resamples=NUM_RESAMPLES, seed=SEED)
    drawn = bootstrap_tasks(lambda task: stack_scores([of[task] for of in found], task=task), names, draws)
    return _scores(drawn, roles), _scores(drawn[:, :1], roles)


def _measured(keys: Sequence[PointKey], scores: Scores, roles: Sequence[TaskRole]) -> tuple[ModelScores, ModelScores]:
    """All models' scores, shape (num_models,), and the first model's."""
    values = np.array([[scores[key][role.name].value for role in roles] for key in keys])
    return _scores(values, roles), _scores(values[:1], roles)


def _scores(values: Floats, roles: Sequence[TaskRole]) -> ModelScores:
    tasks = {role.name: values[..., column] for column, role in enumerate(roles)}
    return ModelScores(tasks=tasks, pairs=aggregate(values, roles))
