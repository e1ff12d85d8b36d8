"""Chosen points and both baselines -> how much they recover of what plain fine-tuning traded away."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rayforget.frontier.hypervolume import hypervolume

Pair = tuple[float, float]
"""(speciality, generality)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """Hypervolume in units of the box between the two baselines."""

    value: float | None
    """hypervolume / box: 1 = all the speciality of plain fine-tuning with none of the forgetting; may exceed 1. None if
    undefined."""
    hypervolume: float
    """Area above (S(theta_0), G(plain)); defined even if `value` is not."""
    box: float
    """(S(plain) - S(theta_0)) * (G(theta_0) - G(plain)), each factor clipped at 0."""
    reason: str | None = None
    """Why `value` is undefined."""


def recovered(values: NDArray[np.float64], *, theta_0: Pair, plain: Pair, errors: Pair = (0.0, 0.0)) -> Recovered:
    """Hypervolume of `values` above (S(theta_0), G(plain)), divided by the baselines' box.

    Undefined if plain fine-tuning gained no speciality or lost no generality "within error", i.e. if one of the two
    differences is not larger than its own standard error. Dividing by a box that may as well be empty would give any
    number. One standard error is deliberately a mild test: a box that is small but probably there shows as a wide
    interval (`intervals.interval_of_frontier`), which is itself undefined if 5 % of the resamples have no box.

    Args:
        values: shape (num_points, 2), (S, G) in [0, 1] of the chosen points.
        theta_0: (S, G) of the pretrained model.
        plain: (S, G) of plain fine-tuning, mean over its seeds.
        errors: standard errors of S(plain) - S(theta_0) and of G(theta_0) - G(plain); zeros test the signs alone.

    Raises:
        RecordError: a value is NaN or infinite.
    """
    gain, loss = plain[0] - theta_0[0], theta_0[1] - plain[1]
    area = hypervolume(values, (theta_0[0], plain[1]))
    box = max(gain, 0.0) * max(loss, 0.0)
    doubts = []
    if gain <= errors[0]:
        change = "gained only" if gain >= 0 else "lost"
        doubts.append(f"plain fine-tuning {change} {_points(gain, errors[0])} of speciality")
    if loss <= errors[1]:
        change = "lost only" if loss >= 0 else "gained"
        doubts.append(f"plain fine-tuning {change} {_points(loss, errors[1])} of generality")
    reason = " and ".join(doubts) or None
    return Recovered(value=None if reason else area / box, hypervolume=area, box=box, reason=reason)


def _points(difference: float, error: float) -> str:
    return f"{100 * abs(difference):.1f}" + (f" ± {100 * error:.1f}" if error else "") + " points"
