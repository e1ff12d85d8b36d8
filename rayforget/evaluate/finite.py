"""A model's scores, or their absence: the one rule for outputs that are not finite numbers.

A scorer never turns such an output into a result. It returns `NotFinite` in place of all the model's scores, on every
rank alike, and the caller decides: theta_0 and theta_1 must have scores (`require_finite`), any other alpha is dropped
from its curve (`rayforget.trial.curve`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rayforget.errors import TrainingError
from rayforget.values.scores import Score, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class NotFinite:
    """Stands in place of a model's scores."""

    items: Mapping[str, int]
    """Task -> number of items without a finite output; tasks without such items are left out."""

    def __str__(self) -> str:
        return ", ".join(f"{count} of {task}" for task, count in self.items.items())


Scored = dict[str, Score] | NotFinite
"""A scorer's result for one model: task -> score, or `NotFinite`."""


def require_finite(scored: Scored, split: Split, *, model: str, advice: str) -> dict[str, Score]:
    """The scores of a model that must have them.

    Args:
        scored: the scorer's result.
        split: named in the message, as are `model` and `advice`.
        model: the model that was scored.
        advice: what to do.

        Raises:
            TrainingError: there are no scores.
    """
    if isinstance(scored, NotFinite):
        raise TrainingError(f"{model} gives outputs that are not finite on {split} (items: {scored}); {advice}")
    return scored


def require_theta_1(scored: Scored) -> dict[str, Score]:
    """The scores of a fine-tuned model on `val`; raises TrainingError if there are none."""
    advice = "its weights diverged: lower learning_rate or raise a strength"
    return require_finite(scored, "val", model="theta_1", advice=advice)
