"""Where a model lies between theta_0 and theta_1, on which path, and its scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from rayforget.space.path_text import LERP
from rayforget.values.scores import Score, ScoreBrief

S = TypeVar("S", Score, ScoreBrief)
"""A score with its items, or without."""


class Spot(NamedTuple):
    """One alpha on one path: with theta_0 and theta_1 it defines a model."""

    alpha: float
    path: str = LERP
    """The path's text (`rayforget.space.path_text`)."""

    @property
    def order(self) -> tuple[bool, str, float]:
        """Sort key: the lerp's alphas first, then path by path."""
        return (self.path != LERP, self.path, self.alpha)

    def __str__(self) -> str:
        return f"alpha = {self.alpha:g}" + ("" if self.path == LERP else f" of {self.path}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point(Generic[S]):
    """One (trial, step, alpha, path) with its scores per task."""

    alpha: float
    path: str = LERP
    """Text of the path on which alpha lies."""
    coarse: bool
    """Whether alpha is on the grid common to all trials (methods are compared on it alone), and the path is scored on
    all of that grid."""
    scores: Mapping[str, S]

    @property
    def spot(self) -> Spot:
        """(alpha, path)."""
        return Spot(self.alpha, self.path)
