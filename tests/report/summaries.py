"""Summaries of synthetic sweeps on which the drawings are tried."""

from collections.abc import Mapping, Sequence
from functools import cache

from synthetic_sweep import ROLES, make_records

from rayforget.frontier.compare import summarise
from rayforget.frontier.gather import gather
from rayforget.frontier.points import PointKey
from rayforget.frontier.summary import Summary
from rayforget.values.records import CheckpointRecord
from rayforget.values.scores import Score

KINDS = ("full", "no test", "no bootstrap", "no plain", "theta_0 alone", "one seed", "half tested")


@cache
def make_summary(kind: str) -> Summary:
    """A sweep of six methods at a time when something is still missing."""
    records, test = make_records(trials=7, fractions=(0.5, 1.0))
    match kind:
        case "no test":
            test = {}
        case "no plain":
            records, test = [r for r in records if r.recipe.get("method") != "plain"], {}
        case "theta_0 alone":
            records, test = [r for r in records if not r.recipe], {}
        case "one seed":
            records, test = [r for r in records if r.trial in ("theta_0", "plain-0")], {}
        case "half tested":
            test = {key: scores for key, scores in test.items() if key[2] != 0.5}
    return summarise_records(records, test, num_resamples=0 if kind == "no bootstrap" else 100)


def summarise_records(
    records: Sequence[CheckpointRecord], test: Mapping[PointKey, Mapping[str, Score]], *, num_resamples: int
) -> Summary:
    found = gather(records, ROLES)
    return summarise(
        found.points,
        ROLES,
        val=found.val,
        test=test,
        name="tiny-<1>",
        seed=0,
        num_resamples=num_resamples,
        failed=found.failed,
    )
