"""A model's scores, or that it has none: the one rule of what becomes of outputs that are not finite numbers.

A scorer never turns such an output into a result. It gives `NotFinite` in the place of all the model's scores, on every
rank alike, and whoever asked decides: theta_0 and theta_1 must have scores (`require_finite`), any other alpha is
dropped from its curve (`rayforget.curve`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rayforget.errors import TrainingError
from rayforget.values.scores import Score, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class NotFinite:
    """In the place of a model's scores."""

    items: Mapping[str, int]
    """Task -> how many of its items the model gives no finite output for; tasks without such items are left out."""

    def __str__(self) -> str:
        return ", ".join(f"{count} of {task}" for task, count in self.items.items())


Scored = dict[str, Score] | NotFinite
"""What a scorer gives for one model: task -> score, or nothing that could be taken for a score."""


def require_finite(scored: Scored, split: Split, *, model: str, advice: str) -> dict[str, Score]:
    """The scores of a model that must have them.

    Args:
        scored: what the scorer gave.
        split: for the message, as `model` and `advice` are.
        model: what was scored.
        advice: what to do.

    Raises:
        TrainingError: there are none.
    """
    if isinstance(scored, NotFinite):
        raise TrainingError(f"{model} gives outputs that are not finite on {split} (items: {scored}); {advice}")
    return scored
