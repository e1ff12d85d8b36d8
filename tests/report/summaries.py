"""Summaries of synthetic sweeps on which the drawings are tried."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from io import StringIO

from rich.console import Console, RenderableType
from synthetic_paths import with_paths
from synthetic_sweep import ROLES, make_records

from rayforget.frontier.baseline_errors import BaselineErrors
from rayforget.frontier.choose import choose_frontier
from rayforget.frontier.compare import summarise
from rayforget.frontier.gather import gather
from rayforget.frontier.points import PointKey
from rayforget.frontier.split_halves import HalvedTask, WholeScore
from rayforget.frontier.summary import Summary
from rayforget.record.standing import order_of_finish
from rayforget.report.findings import Findings, find
from rayforget.report.mlflow.mirror_plan import SweepView
from rayforget.report.present import series_of
from rayforget.space.domains import FloatDomain
from rayforget.space.frozen import FrozenDict
from rayforget.space.method import Method
from rayforget.values.records import CheckpointRecord
from rayforget.values.scores import Score

KINDS = ("full", "no test", "no bootstrap", "no plain", "theta_0 alone", "one seed", "half tested")


Records = tuple[list[CheckpointRecord], Mapping[PointKey, Mapping[str, Score]]]


@cache
def recorded(kind: str) -> Records:
    """The records of a sweep of six methods, and its scores on `test`, at a time when something is still missing."""
    records, test = make_records(trials=7, fractions=(0.5, 1.0))
    match kind:
        case "several paths":
            return with_paths(*make_records(trials=7, fractions=(1.0,)))
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
    return records, test


@cache
def make_summary(kind: str) -> Summary:
    """The summary of such a sweep."""
    records, test = recorded(kind)
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
        reasons=found.reasons,
    )


@cache
def make_paths_summary() -> Summary:
    """A sweep whose curves run along several paths."""
    return summarise_records(*recorded("several paths"), num_resamples=50)


METHODS = tuple(
    Method(
        name=name,
        constants=FrozenDict({}),
        domains=FrozenDict({"learning_rate": FloatDomain(low=1e-5, high=1e-3, log=True)}),
    )
    for name in ("full", "kd", "l1", "l2", "lora", "lora_kd")
)
"""The synthetic sweep's methods, as its space would have them."""


def make_findings(summary: Summary, kind: str) -> Findings:
    """All that the page shows of such a sweep; `summary` may say more than the sweep's own does."""
    records, test = recorded(kind)
    records = [
        replace(record, finished=1000.0 + i, seconds={"train": 60.0 * record.fraction * (1 + i % 3)})
        for i, record in enumerate(records)
    ]
    gathered = gather(records, ROLES)
    return find(
        summary,
        records,
        val=gathered.val,
        test=test,
        methods=METHODS,
        order=order_of_finish(records),
        series=series_of(records, gathered, BaselineErrors(ROLES)),
        storage="runs",
        resamples=20,
    )


def full_of_remarks(summary: Summary) -> Summary:
    """The same sweep with all that a report may have to say besides."""
    assert summary.plain is not None
    models = (summary.theta_0.points, summary.plain.points, summary.frontier[-1:])
    first, *rest = summary.roles
    return replace(
        summary,
        roles=(replace(first, metric="balanced accuracy"), *rest),
        notice="Stale: as one of the tests has it.",
        remarks=("tasks.photo.val: 1 broken image skipped: <a>",),
        halved=(
            HalvedTask(name="sketch", seed=0, val_share=0.5),
            HalvedTask(name="cartoon", seed=0, val_share=0.5),
            HalvedTask(name="counting", seed=4, val_share=0.25),
        ),
        whole=tuple(
            WholeScore(task="sketch", points=tuple(points), val=0.5, test=0.61234, whole=0.55, num_items=998)
            for points in models
        ),
    )


def printed(what: RenderableType, width: int = 100) -> str:
    """What a terminal of so many columns shows."""
    text = StringIO()
    Console(file=text, width=width, color_system=None).print(what)
    return text.getvalue()


def make_view(*, trials: int, running: bool = False, **changes: object) -> SweepView:
    """A small sweep as MLflow is told of it."""
    records, _ = make_records(trials=trials, seeds=1, scale=0.1)
    records = [replace(r, finished=1000.0 + i, seconds={"train": 2.5}) for i, r in enumerate(records)]
    points = gather(records, ROLES).points
    view = SweepView(
        name="tiny-1", identity="tiny-1", space_name="tiny", created=990.0, running=running, roles=ROLES,
        records=records, points=points,
        frontier=[points[i].key for i in choose_frontier(points)], artifacts={"frontier.json": b"{}"},
    )  # fmt: skip
    return replace(view, **changes)  # type: ignore[arg-type]
