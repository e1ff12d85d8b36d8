"""The trainings of which a report asks what each recovers alone, and what earlier reports computed of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rayforget.frontier.intervals import Boxes
from rayforget.frontier.points import FrontierPoint


class KnownShares(Protocol):
    """What earlier reports computed of single trainings; may know nothing."""

    def recall(
        self, within: Boxes, groups: Mapping[tuple[int, ...], tuple[FrontierPoint, ...]], /
    ) -> Mapping[tuple[int, ...], NDArray[np.float32]]:
        """`Measured.shares` of some of these groups of points, in these boxes."""

    def keep(
        self,
        within: Boxes,
        groups: Mapping[tuple[int, ...], tuple[FrontierPoint, ...]],
        shares: Mapping[tuple[int, ...], NDArray[np.float32]],
        /,
    ) -> None:
        """Remembers the shares of all these groups, and forgets others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainings:
    """Trainings of which only is asked what each recovers alone."""

    points: Mapping[int, FrontierPoint]
    """All points that represent one of them."""
    alone: Sequence[tuple[int, ...]]
    """Groups of points, each representing one training; neighbours are read together."""
    plain: Sequence[int]
    """Plain fine-tuning's results, which span the box with theta_0; among the points that are measured."""
    known: KnownShares | None = None
    """What need not be computed again."""
