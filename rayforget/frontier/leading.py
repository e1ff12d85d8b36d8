"""Points as they come -> those that a report may choose, without looking at all of them again."""

from collections.abc import Iterable

from rayforget.frontier.choose import points_to_report
from rayforget.frontier.points import FrontierPoint


class Leading:
    """The baselines' points and every non-dominated set that a report chooses from, kept up to date.

    The non-dominated set of A and B together is that of (the non-dominated set of A) and B: what is dominated stays
    dominated, and of equal points the one with the lowest key stays. So a few points represent all, and adding a
    training costs no more late in a sweep than early.
    """

    def __init__(self) -> None:
        self.points: tuple[FrontierPoint, ...] = ()
        """By key; `choose_frontier`, `points_to_report` and the baselines are the same for these as for all points."""

    def add(self, points: Iterable[FrontierPoint]) -> None:
        """Adds further points; a point that is already known counts once."""
        known = {point.key: point for point in (*self.points, *points)}
        some = [known[key] for key in sorted(known, key=lambda key: key.order)]
        self.points = tuple(some[index] for index in points_to_report(some))
