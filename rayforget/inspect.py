"""What is recorded -> tables in the terminal: which sweeps there are, how far one is, its frontier, its mirror."""

import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from rayforget.errors import ExtensionError, RecordError
from rayforget.frontier.gather import Gathered, gather
from rayforget.frontier.on_demand import items_of, with_items
from rayforget.frontier.points import TaskRole
from rayforget.frontier.summary import Recovery
from rayforget.record.command import command, program
from rayforget.record.standing import Standing, roles_of, standing_of
from rayforget.record.store import Store
from rayforget.record.sweep import Sweep, sweep_names
from rayforget.report.live import open_console
from rayforget.report.present import summary_of
from rayforget.report.reading import format_recovered, stale_notice


def print_sweeps(storage: str) -> None:
    """Lists the sweeps of a storage path, the oldest first."""
    console, store = open_console(), Store.open(storage)
    names = sweep_names(store)
    if not names:
        console.print(f"no sweep in {store}; start one: {program()} sweep SPACE.yaml", highlight=False)
        return
    table = Table(box=SIMPLE_HEAD, header_style="dim", pad_edge=False)
    for name in ("sweep", "space", "started"):
        table.add_column(name, no_wrap=True)
    for name in ("done", "failed", "in all"):
        table.add_column(name, justify="right")
    for name in ("recovered", "state"):
        table.add_column(name)
    rows, damaged = [], []
    for name in names:
        try:
            rows.append(_listed(Sweep.open(store, name), name))
        except RecordError as error:
            damaged.append((name, str(error)))
    for _, cells in sorted(rows, key=lambda row: row[0]):
        table.add_row(*cells)
    for name, reason in damaged:
        table.add_row(Text(name), *[""] * 6, Text(f"cannot be read: {reason}", style="red"))
    console.print(table)
    if any(cells[-2].plain.endswith("*") for _, cells in rows):
        console.print("* optimistic: scored on the items on which the points were chosen", style="dim")


def _listed(sweep: Sweep, name: str) -> tuple[tuple[float, str], list[Text]]:
    """What a sweep's place in the list depends on, and its row; `name` is its folder's, which may have been renamed."""
    info = sweep.info
    standing, recovered = _look(sweep, resamples=0)  # an interval for each would take the list a second per sweep
    cells = [
        Text(name),
        Text(info.space_name),
        Text(_date(info.created)),
        Text(str(len(standing.done))),
        Text(str(len(standing.failed)), style="red" if standing.failed else ""),
        Text(str(standing.in_all)),
        Text(recovered),
        Text("finished" if standing.finished else f"not finished; {_last(standing)}"),
    ]
    return (info.created, name), cells


def print_status(storage: str, name: str) -> None:
    """Shows how far a sweep is, what is unfinished, what failed and why, and how to go on.

    Raises:
        RecordError: there is no such sweep, or its record is damaged.
    """
    console = open_console()
    sweep = Sweep.open(Store.open(storage), name)
    standing, recovered = _look(sweep)
    weights = sweep.kept_weights()
    lines = [
        f"space {sweep.info.space_name}, started {_date(sweep.info.created)}; {_last(standing)}",
        f"{len(standing.done)} of {standing.in_all} trainings done, {len(standing.failed)} failed, "
        f"{len(standing.unfinished)} unfinished, {standing.in_all - _handed_out(standing)} not begun",
        f"{standing.num_points} points; test scores for {standing.reported - len(standing.untested)} of "
        f"{standing.reported} that the report wants now",
        f"weights of {len(weights)} checkpoints kept, {sum(weights.values()) / 2**20:.1f} MiB",
        f"recovered {recovered.replace('val*', 'val (optimistic)')}",
    ]
    console.print(Text(name, style="bold"))
    if (notice := stale_notice(standing)) is not None:
        lines.append(notice)
    for line in lines:
        console.print(Text(f"  {line}"))
    for trial, fraction in standing.unfinished.items():
        scored = f"recorded up to {100 * fraction:g} % of its training" if fraction else "no checkpoint recorded yet"
        console.print(Text(f"unfinished: {trial}: {scored}", style="yellow"))
    for trial, record in standing.failed.items():
        reason = (record.reason or "no reason recorded").split("\n", 1)[0]
        console.print(Text(f"failed: {trial}: {reason}", style="red"))
        console.print(Text(f'  traceback: "reason" in {sweep.store}/points/{record.key}.json'))
    if standing.finished:
        console.print(Text(f"finished; look at it: {command(f'frontier {name}', storage)}"))
    else:
        console.print(Text("not finished; the record does not tell whether a process is at work on it"))
        console.print(Text(f"if none is, go on with: {command(f'sweep --resume {name}', storage)}"))


def show_frontier(storage: str, name: str, out: Path | None, *, full: bool = False) -> None:
    """Prints the frontier and draws it into `out`, or beside the record; `full` adds whole labelled splits.

    Raises:
        RecordError: there is no such sweep, or it holds too little for a frontier.
    """
    from rayforget.record.space_of import space_here
    from rayforget.report.present import present

    sweep = Sweep.open(Store.open(storage), name)
    present(sweep, space_here(sweep, storage), open_console(), out, full=full)


def mirror_sweep(storage: str, name: str) -> None:
    """Writes a sweep's record to MLflow and says where.

    Raises:
        RecordError: there is no such sweep, or theta_0 is not scored yet.
        MirrorError: MLflow does not take it.
    """
    from rayforget.record.space_of import space_here
    from rayforget.report import present

    sweep = Sweep.open(Store.open(storage), name)
    space = space_here(sweep, storage)
    done = present.mirror_sweep(sweep, space, running=not _look(sweep, resamples=0)[0].finished)
    open_console().print(f"MLflow {done}", highlight=False)


def open_ui(storage: str, name: str, port: int) -> int:
    """Runs MLflow's UI on a sweep's store until Ctrl-C; returns the exit code.

    Raises:
        RecordError: there is no such sweep, or nothing is mirrored yet.
        MirrorError: there is no store that MLflow could open.
    """
    from rayforget.record.space_of import space_here
    from rayforget.report.ui import run_ui

    sweep = Sweep.open(Store.open(storage), name)
    return run_ui(name, space_here(sweep, storage), port, open_console())


def remove_sweep(storage: str, name: str) -> None:
    """Deletes a sweep; raises RecordError where there is none."""
    from rayforget.record import sweep

    store = Store.open(storage)
    sweep.remove_sweep(store, name)
    open_console().print(f"deleted {name} from {store}; what MLflow holds of it stays", highlight=False)


def _look(sweep: Sweep, *, resamples: int = 1000) -> tuple[Standing, str]:
    """How far a sweep is and what it recovers, in one reading of its record; 0 `resamples` give no interval."""
    roles, records = roles_of(sweep), sweep.briefs()
    gathered = with_items(gather(records, roles), items_of(sweep.record, roles))
    return standing_of(sweep, records, gathered), _words(_recovery(sweep, gathered, roles, resamples))


def _recovery(sweep: Sweep, gathered: Gathered, roles: Sequence[TaskRole], resamples: int) -> Recovery | None:
    """None where theta_0 is not scored yet."""
    try:
        return summary_of(sweep.info.name, gathered, sweep.test_scores(), roles, resamples=resamples).recovery
    except ExtensionError:  # scores of another package's metric are recorded, their errors need the package
        return _recovery(sweep, gathered, roles, 0) if resamples else None
    except RecordError:
        return None


def _handed_out(standing: Standing) -> int:
    return len(standing.done) + len(standing.failed) + len(standing.unfinished)


def _words(recovery: Recovery | None) -> str:
    """`0.91 [0.80, 1.02] on test`, the value that `rayforget frontier` gives too."""
    if recovery is None or recovery.val is None:
        return "—"
    if recovery.test is not None:
        return f"{format_recovered(recovery.test, recovery.interval)} on test"
    return f"{format_recovered(recovery.val)} on val*"


def _last(standing: Standing) -> str:
    """When something was last recorded, in words."""
    if standing.last_record is None:
        return "nothing recorded yet"
    seconds = max(0.0, time.time() - standing.last_record)
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds >= length or unit == "second":
            count = int(seconds // length)
            return f"last record {count} {unit}{'' if count == 1 else 's'} ago"
    raise AssertionError


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"
