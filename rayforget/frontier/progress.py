"""Points -> what had been recovered on `val` after each training, in the order in which trainings were asked for."""

from collections.abc import Sequence

import numpy as np

from rayforget.errors import RecordError
from rayforget.frontier.choose import is_plain_baseline
from rayforget.frontier.nondominated import nondominated
from rayforget.frontier.points import THETA_0, FrontierPoint
from rayforget.frontier.recovered import Pair, Recovered, recovered


def recovered_so_far(points: Sequence[FrontierPoint]) -> list[tuple[int, Recovered]]:
    """(number of trainings, what their frontier recovers), from the first training on that plain fine-tuning had.

    Equal to a summary's `recovery.val` without a bootstrap, over the points of so many trainings; the reference is
    the mean of the plain trainings among these. Only the frontier is carried on from one training to the next, so
    that the whole series costs little more than its last value.

    Args:
        points: theta_0's own and every training's, in any order; a training that failed without a point counts not.

    Raises:
        RecordError: theta_0 has no point, or a value is not finite.
    """
    theta_0 = [_pair(point) for point in points if point.method == THETA_0]
    if len(theta_0) != 1:
        raise RecordError(f"expected one point of theta_0, found {len(theta_0)}; score theta_0 once before a report")
    trainings: dict[str, list[FrontierPoint]] = {}
    for point in points:
        if point.method != THETA_0:
            trainings.setdefault(point.trial, []).append(point)
    frontier = np.array(theta_0)
    plain: list[Pair] = []
    found = []
    for count, trial in enumerate(sorted(trainings), start=1):
        own = trainings[trial]
        plain += [_pair(point) for point in own if is_plain_baseline(point)]
        pairs = [_pair(point) for point in own if not point.is_copy_of_theta_0]
        values = np.concatenate((frontier, np.array(pairs).reshape(-1, 2)))
        frontier = values[nondominated(values)]
        if plain:
            special, general = np.mean(plain, axis=0)
            found.append((count, recovered(frontier, theta_0=theta_0[0], plain=(float(special), float(general)))))
    return found


def _pair(point: FrontierPoint) -> Pair:
    return (point.speciality, point.generality)
