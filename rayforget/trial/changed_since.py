"""theta_0's record and what a worker has at hand -> why the sweep cannot go on here; None if it can."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rayforget.foundations.protocol import Foundation, Scorer
from rayforget.values.records import DATA, RUNS_AS, RUNS_WITH, CheckpointRecord
from rayforget.values.scores import Score

_ROUNDING = 0.005
"""Share of a task's items whose answers another machine may change by rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a sweep was started with."""

    name: str
    """The sweep's."""
    theta_0: CheckpointRecord

    def what_changed(self, foundation: Foundation) -> str | None:
        """Why this rank cannot continue the sweep of this theta_0: another model, or other data."""
        record = self.theta_0
        if record.theta_0_hash != foundation.theta_0_hash:
            return (
                f"sweep {self.name} was started from a model with hash {record.theta_0_hash}, "
                f"foundation.model has {foundation.theta_0_hash} now; restore it, or start another sweep"
            )
        items = {name: score.items_hash for name, score in record.points[0].scores.items()}
        today = foundation.scorer(None).items_by_task("val")
        changed = [name for name in sorted({*items, *today}) if items.get(name) != today.get(name)]
        if not changed:
            return None
        return (
            f"tasks.{changed[0]}.val does not hold the items that sweep {self.name} was started with, "
            f"so scores on it would not compare (tasks that changed: {', '.join(changed)}); restore the data, or "
            "start another sweep"
        )

    def runs_otherwise(self, foundation: Foundation, theta_0_scores: Callable[[], Mapping[str, Score]]) -> str | None:
        """Why weights without preprocessing of their own are run in another way than when the sweep was started.

        A record of a version that did not write it down is compared by theta_0's answers. Every rank calls it.
        """
        record = self.theta_0
        today, then = (facts.get(RUNS_WITH) for facts in (foundation.scorer(None).facts("val"), record.facts))
        if today is None or then == today:
            return None
        start = f"sweep {self.name} was started with weights that ran"
        if then is not None:
            return f"{start} with {then}, and now run with {today}; start another sweep, or use the versions of then"
        for name, score in theta_0_scores().items():
            recorded = record.points[0].scores[name].items
            others, count = int((recorded != score.items).reshape(len(recorded), -1).any(axis=1).sum()), len(recorded)
            if others > _ROUNDING * count:
                return (
                    f"{start} otherwise: theta_0 answers {others} of {count} items of tasks.{name}.val in another way "
                    f"now, with {today}. Scores of both would not compare: start another sweep"
                )
        return None

    def other_data(self, foundation: Foundation, data: Mapping[str, str]) -> str | None:
        """Why this rank's trainings or scores would not compare with the sweep's; facts that an older record lacks are
        not compared.

        Args:
            foundation: this rank's.
            data: `data_identity` of this rank's tasks.
        """
        was = self.theta_0.facts.get(RUNS_AS)
        if was is not None and was != runs_as(foundation.scorer(None)):
            return (
                f"the model of sweep {self.name} is run otherwise than when it was started: its weights are the same, "
                "its configuration (activation, preprocessing, tokens) is not, so scores would not compare; restore "
                "its files, or start another sweep"
            )
        known = self.theta_0.facts.get(DATA, {})
        changed = sorted(key for key in known.keys() & data.keys() if known[key] != data[key])
        if not changed:
            return None
        trained = [key for key in changed if key.endswith(".train")]
        what = (
            f"{trained[0]} does not hold the items and labels"
            if trained
            else f"the classes or prompts of {changed[0]} (class names may come from folders) are not those"
        )
        return (
            f"{what} that sweep {self.name} was started with, so its trainings and scores would not compare (what "
            f"changed: {', '.join(changed)}); restore the data, or start another sweep"
        )


def runs_as(scorer: Scorer) -> str:
    """How weights are run; by the identity for another package's scorer that does not say it."""
    return str(getattr(scorer, "runs_as", None) or scorer.identity)
