"""Points -> what is recovered on `val`, now and after each training in the order in which trainings ended."""

from collections.abc import Callable, Sequence

import numpy as np

from rayforget.errors import RecordError
from rayforget.frontier.choose import choose_frontier, is_plain_baseline
from rayforget.frontier.nondominated import nondominated
from rayforget.frontier.points import THETA_0, FrontierPoint
from rayforget.frontier.recovered import Pair, Recovered, recovered

Errors = Callable[[FrontierPoint, Sequence[FrontierPoint]], Pair]
"""(theta_0, plain trainings) -> the errors of what these gained and lost; see `recovered.recovered`."""


def recovered_so_far(
    points: Sequence[FrontierPoint], *, order: Sequence[str], errors: Errors
) -> list[tuple[int, Recovered]]:
    """(number of trainings, what their frontier recovers), from the first plain fine-tuning on.

    Equal to a summary's `recovery.val` over the points of the first trainings; the reference is the mean of the plain
    trainings among them. Only the frontier is carried from one training to the next, so that the whole series costs
    little more than its last value.

    Args:
        points: theta_0's own and every training's, in any order; a training that failed without a point does not count.
        order: the trainings that count, in the order in which they ended (`record.standing.order_of_finish`): a later
            one must not come before others, or values that were already shown would change.
        errors: the errors within which plain fine-tuning's gain and loss count as nothing.

    Raises:
        RecordError: theta_0 has no point, or a value is not finite.
    """
    base = [point for point in points if point.method == THETA_0]
    theta_0 = [_pair(point) for point in base]
    if len(theta_0) != 1:
        raise RecordError(
            f"expected one point of theta_0, found {len(theta_0)}; theta_0 is recorded with the first training at "
            "the latest: let it go on, then ask again"
        )
    trainings: dict[str, list[FrontierPoint]] = {}
    for point in points:
        if point.method != THETA_0:
            trainings.setdefault(point.trial, []).append(point)
    frontier = np.array(theta_0)
    plain: list[FrontierPoint] = []
    found = []
    for count, trial in enumerate((trial for trial in order if trial in trainings), start=1):
        own = trainings[trial]
        plain += [point for point in own if is_plain_baseline(point)]
        pairs = [_pair(point) for point in own if not point.is_copy_of_theta_0]
        values = np.concatenate((frontier, np.array(pairs).reshape(-1, 2)))
        frontier = values[nondominated(values)]
        if plain:
            special, general = np.mean([_pair(point) for point in plain], axis=0)
            tuned = (float(special), float(general))
            found.append((count, recovered(frontier, theta_0=theta_0[0], plain=tuned, errors=errors(base[0], plain))))
    return found


def recovered_now(points: Sequence[FrontierPoint], errors: Errors) -> Recovered | None:
    """What the frontier recovers now, undefined where a report would say so; None before both baselines exist.

    Args:
        points: those that a report may choose, or more (`leading.Leading`).
        errors: as for `recovered_so_far`.
    """
    theta_0 = [point for point in points if point.method == THETA_0]
    plain = [point for point in points if is_plain_baseline(point)]
    if not theta_0 or not plain:
        return None
    special, general = np.mean([_pair(point) for point in plain], axis=0)
    values = np.array([_pair(points[i]) for i in choose_frontier(points)])
    tuned = (float(special), float(general))
    return recovered(values, theta_0=_pair(theta_0[0]), plain=tuned, errors=errors(theta_0[0], plain))


def _pair(point: FrontierPoint) -> Pair:
    return (point.speciality, point.generality)
