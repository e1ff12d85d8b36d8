"""A sweep's report and limits -> the chosen point with all that is to be said of it: the page, a script, a gate."""

from collections.abc import Set
from dataclasses import dataclass

from rayforget.errors import RecordError
from rayforget.frontier.limits import Limits, limits_in_points
from rayforget.frontier.paired import Reached, reached
from rayforget.frontier.pick import Choice, pick_point
from rayforget.frontier.points import FrontierPoint, PointKey
from rayforget.frontier.summary import Summary
from rayforget.record.command import command, resuming
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report.present import Report
from rayforget.report.words import choices


@dataclass(frozen=True, slots=True, kw_only=True)
class Picking:
    """A choice, and what the chosen point reaches of each limit."""

    summary: Summary
    choice: Choice
    val: tuple[Reached, ...]
    """Empty if nothing qualifies."""
    test: tuple[Reached, ...] | None
    """None if nothing qualifies, or the point is not scored on `test`."""
    kept: Set[tuple[str, int]]
    """(trial, step) of every kept weight."""

    @property
    def point(self) -> FrontierPoint | None:
        """The chosen point; None if nothing qualifies."""
        return None if self.choice.index is None else self.summary.points[self.choice.index]

    def __str__(self) -> str:
        """Why this point, what it gained and lost, and what each limit costs, in sentences."""
        choice = self.choice
        if self.point is None or choice.index is None:
            return choices.why(self.summary, choice)
        told = [choices.title(self.point), choices.why(self.summary, choice)]
        return "\n".join([*told, choices.changes(self.summary, choice.index), *choices.costs(self.summary, choice)])

    def has_weights(self, point: FrontierPoint) -> bool:
        """Whether the point's weights are kept, so that it can be loaded and exported."""
        return (point.trial, point.step) in self.kept


def pick_from(report: Report, sweep: Sweep, limits: Limits) -> Picking:
    """Chooses on `val`, and measures the chosen point on both splits.

    Raises:
        SpaceError: a limit names no task and no group.
        RecordError: a file of the record is damaged, or items do not fit each other.
    """
    summary, val = report.summary, report.gathered.val
    choice = pick_point(summary, limits, val=val)
    floors, start = tuple(cost.floor for cost in choice.costs), summary.points[summary.theta_0.points[0]].key
    on_val: tuple[Reached, ...] = ()
    on_test: tuple[Reached, ...] | None = None
    if choice.index is not None:
        key = summary.points[choice.index].key
        on_val = reached(floors, key, val, summary.roles, theta_0=start)
        if key in report.tests and start in report.tests:
            on_test = reached(floors, key, report.tests, summary.roles, theta_0=start)
    return Picking(summary=summary, choice=choice, val=on_val, test=on_test, kept=sweep.kept_weights().keys())


def picked_key(summary: Summary) -> PointKey:
    """The name of the point that `rayforget pick` takes without options.

    Raises:
        RecordError: there is none; the message names points of the frontier.
    """
    index = pick_point(summary, limits_in_points()).index
    if index is None:
        points = ", ".join(summary.points[i].key.text for i in summary.frontier[:3])
        raise RecordError(
            "no point gains speciality and loses at most 1 point of generality, so that none can be picked; name one, "
            f"such as {points}"
        )
    return summary.points[index].key


def not_on_test(summary: Summary, key: PointKey, storage: str | Store) -> RecordError:
    """That a point of the report has no score on `test`, and what to do."""
    resume = command(resuming(summary.name), storage)
    return RecordError(
        f"{key.text} is not scored on test, so that nothing can be judged; the sweep is not finished, and scores the "
        f"points of its report on test when it ends: go on with {resume}"
    )
