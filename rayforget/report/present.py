"""A sweep's record -> its summary, shown in the terminal, drawn, and mirrored."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.console import Console

from rayforget.frontier.baseline_errors import BaselineErrors
from rayforget.frontier.compare import Scores, summarise
from rayforget.frontier.gather import Gathered, gather
from rayforget.frontier.on_demand import items_of, with_items
from rayforget.frontier.points import TaskRole, task_roles
from rayforget.frontier.progress import recovered_so_far
from rayforget.frontier.split_halves import WholeScore, halved_tasks, whole_scores
from rayforget.frontier.summary import Summary
from rayforget.frontier.trainings import KnownShares
from rayforget.printable import one_line
from rayforget.record.command import command
from rayforget.record.shares_index import SharesIndex
from rayforget.record.standing import Standing, order_of_finish, standing_of
from rayforget.record.sweep import Sweep
from rayforget.report.frontier_json import frontier_json
from rayforget.report.terminal.frontier_table import frontier_as_table
from rayforget.report.words.numbers import headline_pick, stale_notice
from rayforget.report.words.remarks import data_remarks
from rayforget.values.brief import AnyCheckpoint, CheckpointBrief

if TYPE_CHECKING:  # a summary only needs the tasks' roles, and building the space's models takes half a second
    from rayforget.space.models import Space

logger = logging.getLogger(__name__)

SEED = 0
"""Of a report's bootstrap."""
PAGE = "frontier.html"
"""The page's file, beside the record and in MLflow."""


def summary_of(
    name: str,
    gathered: Gathered,
    tests: Scores,
    roles: Sequence[TaskRole],
    *,
    resamples: int = 1000,
    known_shares: KnownShares | None = None,
) -> Summary:
    """The summary of what is gathered; `resamples` of the bootstrap, 0 for none; `known_shares` from earlier ones.

    Raises:
        RecordError: theta_0 has not been scored yet.
    """
    known = {point.key for point in gathered.points}
    return summarise(
        gathered.points,
        roles,
        val=gathered.val,
        test={key: scores for key, scores in tests.items() if key in known},
        name=name,
        seed=SEED,
        num_resamples=resamples,
        failed=gathered.failed,
        reasons=gathered.reasons,
        known_shares=known_shares,
    )


@dataclass(frozen=True, kw_only=True)
class Report:
    """One reading of a sweep's record, one bootstrap and one drawing, from which all views of the sweep are made."""

    space: "Space"
    records: Sequence[CheckpointBrief]
    gathered: Gathered
    standing: Standing
    tests: Scores
    """Scores on `test`, with their items."""
    summary: Summary

    @cached_property
    def drawings(self) -> Mapping[str, bytes]:
        """File name -> content of the picture, the page and the frontier as a table."""
        return {
            "frontier.png": _draw_picture(self.summary),
            PAGE: self.page,
            "frontier.json": frontier_json(self.summary),
        }

    @cached_property
    def page(self) -> bytes:
        """The page alone."""
        from rayforget.report.findings import find
        from rayforget.report.web.page import page_of
        from rayforget.space.methods import methods_of

        found = find(
            self.summary,
            self.records,
            val=self.gathered.val,
            test=self.tests,
            methods=methods_of(self.space),
            order=order_of_finish(self.records),
            series=series_of(self.records, self.gathered, BaselineErrors(self.summary.roles)),
            storage=self.space.storage.path,
        )
        return page_of(found).encode()


def read_report(sweep: Sweep, space: "Space", *, full: bool = False) -> Report:
    """The report of a sweep's current record; `full` adds the scores of cut tasks on their whole labelled split.

    Raises:
        RecordError: the record holds too little for a frontier, or is damaged.
    """
    roles, records = task_roles(space), sweep.briefs()
    gathered = with_items(gather(records, roles), items_of(sweep.record))
    tests, halved = sweep.test_scores(), halved_tasks(space)
    standing = standing_of(sweep, records, gathered)
    summary = summary_of(sweep.info.name, gathered, tests, roles, known_shares=SharesIndex(sweep.store, records))
    whole: tuple[WholeScore, ...] = ()
    if full:
        plain = summary.plain.points if summary.plain is not None else ()
        models = [summary.theta_0.points, plain, *((i,) for i in summary.frontier if (i,) != summary.theta_0.points)]
        whole = whole_scores(halved, models, summary.points, val=gathered.val, test=tests)
    return Report(
        space=space,
        records=records,
        gathered=gathered,
        standing=standing,
        tests=tests,
        summary=replace(
            summary,
            adaptive=space.search.sampler != "random" and space.search.trainings > space.search.startup,
            notice=stale_notice(standing),
            halved=halved,
            whole=whole,
            remarks=data_remarks(records, sweep.tests()),
        ),
    )


def present(sweep: Sweep, space: "Space", console: Console, out: Path | None = None, *, full: bool = False) -> Report:
    """Prints the frontier and draws it as `frontier.png` and `frontier.html` into `out`, or beside the record.

    Args:
        sweep: the sweep.
        space: its space.
        console: where to print.
        out: a folder.
        full: also show the scores of cut tasks on their whole labelled split.

    Raises:
        RecordError: the record holds too little for a frontier, or `out` cannot be a folder of files.
    """
    from rayforget.report.out_folder import check_out, write_out
    from rayforget.report.terminal.tables import frontier_table
    from rayforget.report.words.likelihoods import text_notes

    if out is not None:
        check_out(out)
    report = read_report(sweep, space, full=full)
    summary = report.summary
    console.print(frontier_table(summary))
    console.print(text_notes(summary, report.gathered.val))
    if full and not summary.whole:
        reason = "no model is scored on test yet" if summary.halved else "no task has a `cut`"
        console.print(f"--full has nothing to show: {reason}", style="yellow", highlight=False)
    for name, data in report.drawings.items():
        if out is not None:
            write_out(out, name, data)
            console.print(f"{name}: {one_line(str(out / name))}", highlight=False, soft_wrap=True)
        else:
            sweep.store.write(f"report/{name}", data)
            console.print(f"{name}: {one_line(str(sweep.store))}/report/{name}", highlight=False, soft_wrap=True)
    return report


def mark_stale(sweep: Sweep, space: "Space", console: Console) -> None:
    """Marks a report as stale, in its files and in MLflow, when its sweep goes on beyond it.

    Call it when a sweep is resumed, after its budget was noted and before it goes on; otherwise it does nothing.
    """
    records = sweep.briefs()
    if not standing_of(sweep, records, gather(records, task_roles(space))).report_is_stale:
        return
    report = read_report(sweep, space)
    for name, data in report.drawings.items():
        sweep.store.write(f"report/{name}", data)
    console.print(f"{report.summary.notice}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    mirror_quietly(sweep, space, console, running=True, report=report)


def _draw_picture(summary: Summary) -> bytes:
    from rayforget.report.png.picture import draw_frontier

    with TemporaryDirectory() as folder:
        picture = Path(folder) / "frontier.png"
        draw_frontier(summary, picture)
        return picture.read_bytes()


def mirror_sweep(
    sweep: Sweep, space: "Space", *, running: bool, report: Report | None = None, register: bool = False
) -> list[str]:
    """Writes the record to MLflow; returns what was done and where to look, line by line. Raises MirrorError.

    Args:
        sweep: the sweep.
        space: its space.
        running: whether more trainings are to come.
        report: the sweep's current report, if one was already made.
        register: whether the picked point becomes the `champion` in MLflow's registry.
    """
    from rayforget.record.storage.store import Store
    from rayforget.report.mlflow.data_used import data_used
    from rayforget.report.mlflow.mirror import mirror
    from rayforget.report.mlflow.mirror_plan import FRONTIER_TABLE, SweepView
    from rayforget.report.mlflow.tracking import find_tracking
    from rayforget.report.mlflow.ui import where_to_look

    report = report or read_report(sweep, space)
    summary = report.summary
    picked = headline_pick(summary)
    view = SweepView(
        name=sweep.info.name,
        identity=sweep.first_name,
        space_name=sweep.info.space_name,
        created=sweep.info.created,
        running=running,
        commit=sweep.info.provenance.get("code", {}).get("commit"),
        tags={"stale": "true" if report.standing.report_is_stale else "false"},
        data=data_used(sweep, space, summary.roles),
        roles=summary.roles,
        records=report.records,
        points=report.gathered.points,
        frontier=[summary.points[i].key for i in summary.frontier],
        picked=None if picked is None else summary.points[picked.index].key,
        test={summary.points[i].key: measure.pair for i, measure in summary.test.items()},
        series=series_of(report.records, report.gathered, BaselineErrors(summary.roles)),
        artifacts={**report.drawings, FRONTIER_TABLE: frontier_as_table(summary)},
    )
    tracking = find_tracking(space.tracking.uri, Store.open(space.storage.path))
    done = mirror(view, tracking, register=register)
    lines = [f"{tracking.name}: {done.created} runs new, {done.updated} changed, {done.unchanged} as they were"]
    if done.registered is not None:
        lines.append(f"registered: {done.registered}")
    return [*lines, *where_to_look(sweep.info.name, space, tracking, done.link)]


def mirror_quietly(
    sweep: Sweep, space: "Space", console: Console, *, running: bool, report: Report | None = None
) -> None:
    """Mirrors if the space says so; an error on MLflow's side becomes one line. Arguments as for `mirror_sweep`."""
    from rayforget.errors import ExtensionError, RecordError, StorageError
    from rayforget.report.mlflow.tracking import MirrorError

    if not space.tracking.enabled:
        return
    try:
        for line in mirror_sweep(sweep, space, running=running, report=report):
            console.print(f"MLflow {one_line(line)}", markup=False, highlight=False, soft_wrap=True)
    except StorageError:
        raise
    except (MirrorError, RecordError, ExtensionError) as error:
        later = command(f"mirror {sweep.info.name}", space.storage.path)
        console.print(f"MLflow: {error}; later: {later}", style="yellow", highlight=False, soft_wrap=True)


def series_of(
    records: Sequence[AnyCheckpoint], gathered: Gathered, errors: BaselineErrors, *, before: float | None = None
) -> Mapping[str, Sequence[tuple[int, float]]]:
    """Hypervolume and recovered on `val` after each finished trial, in the order in which they ended.

    A later call only appends to the values of an earlier one. Recovered has no value while it is undefined.

    Args:
        records: the sweep's.
        gathered: their points.
        errors: errors of the baselines' differences.
        before: only trials that ended before this Unix time; see `order_of_finish`.

    Raises:
        RecordError: theta_0 is not scored yet.
    """
    found = recovered_so_far(
        gathered.points,
        order=order_of_finish(records, before=before),
        errors=lambda theta_0, plain: errors(theta_0, plain, gathered.val),
    )
    return {
        "val/hypervolume": [(count, each.hypervolume) for count, each in found],
        "val/recovered": [(count, each.value) for count, each in found if each.value is not None],
    }
