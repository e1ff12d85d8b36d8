"""`rayforget list`: the sweeps in a storage path, oldest first."""

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from rayforget.commands.glance import date, glance, last_record
from rayforget.errors import RecordError
from rayforget.printable import one_line
from rayforget.record.command import program
from rayforget.record.names import sweep_names
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report.terminal.live import open_console


def print_sweeps(storage: str) -> None:
    """Lists the sweeps of a storage path, oldest first."""
    console, store = open_console(), Store.open(storage)
    names = sweep_names(store)
    if not names:
        console.print(f"no sweep in {one_line(str(store))}; start one: {program()} sweep SPACE.yaml", highlight=False)
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
    """A sweep's sort key in the list, and its row; `name` is its folder's, which may have been renamed."""
    info = sweep.info
    standing, recovered, _ = glance(sweep, resamples=0)  # an interval for each would take a second per sweep
    cells = [
        Text(name),
        Text(info.space_name),
        Text(date(info.created)),
        Text(str(len(standing.done))),
        Text(str(len(standing.failed)), style="red" if standing.failed else ""),
        Text(str(standing.total)),
        Text(recovered),
        Text("finished" if standing.finished else f"not finished; {last_record(standing)}"),
    ]
    return (info.created, name), cells
