"""One reading of a sweep's record -> all that its page shows besides the summary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rayforget.frontier.agreement import Agreement, agreement
from rayforget.frontier.cost import SweepCost, cost_of, train_seconds
from rayforget.frontier.failures import Failure, failures_of
from rayforget.frontier.forgetting import Forgetting, Scores, forgetting
from rayforget.frontier.limits import MAX_FORGETTING
from rayforget.frontier.summary import Summary
from rayforget.report.words.numbers import headline_pick
from rayforget.search.effects import Effects, effects_of
from rayforget.space.method import Method
from rayforget.values.brief import AnyCheckpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The content of the page."""

    summary: Summary
    forgetting: Forgetting
    effects: tuple[Effects, ...]
    agreement: tuple[Agreement, ...]
    cost: SweepCost
    failures: tuple[Failure, ...]
    storage: str
    """Where the sweep lies, as its user names it: part of the commands that the page offers."""


def find(
    summary: Summary,
    records: Sequence[AnyCheckpoint],
    *,
    val: Scores,
    test: Scores,
    methods: Sequence[Method],
    order: Sequence[str],
    series: Mapping[str, Sequence[tuple[int, float]]],
    storage: str,
    resamples: int = 1000,
) -> Findings:
    """All that the page shows.

    Args:
        summary: the summary of these records.
        records: the sweep's.
        val: scores of at least the summary's chosen points.
        test: scores on `test`.
        methods: the space's.
        order: the trials that ended, in the order in which they did.
        series: what `present.series_of` gives.
        storage: the storage path.
        resamples: of the bootstrap of each task's change; 0 for none.

    Raises:
        RecordError: models were not scored on the same items.
    """
    picked = headline_pick(summary)
    changes = forgetting(
        summary,
        val=val,
        test=test,
        max_loss=MAX_FORGETTING,
        picked=None if picked is None else picked.index,
        num_resamples=resamples,
    )
    return Findings(
        summary=summary,
        forgetting=changes,
        effects=effects_of(methods, summary.points),
        agreement=agreement(summary),
        cost=cost_of(summary, train_seconds(records), order=order, series=series.get("val/recovered", ())),
        failures=failures_of(records),
        storage=storage,
    )
