"""`rayforget pick NAME`: the point to take, why this one, the next two, and what each limit costs."""

import json
import shlex

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from rayforget.frontier.limits import Limits
from rayforget.frontier.points import FrontierPoint
from rayforget.record.command import command
from rayforget.record.space_of import space_here
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report.picking import Picking, pick_from
from rayforget.report.picking_json import picking_json
from rayforget.report.present import read_report
from rayforget.report.terminal.live import open_console
from rayforget.report.terminal.tables import points_table
from rayforget.report.words import choices

NOTHING_QUALIFIES = 3
"""Exit code if no point keeps the limits."""


def print_pick(storage: str, name: str, limits: Limits, *, as_json: bool) -> int:
    """Prints the choice for these limits; returns the exit code.

    Raises:
        SpaceError: a limit names no task and no group.
        RecordError: there is no such sweep, or it holds too little for a frontier.
    """
    sweep = Sweep.open(Store.open(storage), name)
    picking = pick_from(read_report(sweep, space_here(sweep, storage)), sweep, limits)
    if as_json:
        print(json.dumps(picking_json(picking), indent=2, default=str))
    else:
        print_picking(picking, storage, open_console())
    return 0 if picking.point is not None else NOTHING_QUALIFIES


def print_picking(picking: Picking, storage: str, console: Console) -> None:
    """Prints a choice for people."""
    summary, choice, point = picking.summary, picking.choice, picking.point
    lines: list[RenderableType] = [Text(summary.name, style="bold")]
    if summary.notice is not None:
        lines.append(Text(summary.notice, style="bold red"))
    lines.append(Text())
    if point is not None and choice.index is not None:
        lines += [Text(choices.title(point), style="bold"), Text(choices.why(summary, choice))]
        lines.append(Text(choices.changes(summary, choice.index)))
        shown = (choice.index, *choice.next)
        note = "   %, ± one standard error; below the picked point the next by the same rule"
        lines += [Text(), Text.assemble(("Points", "bold"), (note, "dim")), points_table(summary, shown, choice.index)]
        if choice.costs:
            lines += [Text(), _limits_head(), _limits_table(picking), Text()]
        lines += [Text(line) for line in choices.costs(summary, choice)]
        console.print(Group(*lines))
        lines = []
        console.print(Text(_weights_words(picking, point, storage)), soft_wrap=True)  # a command to copy
    else:
        lines.append(Text(choices.why(summary, choice), style="yellow"))
    if (better := choices.elsewhere(summary, choice)) is not None:
        lines.append(Text(better))
    if lines:
        console.print(Group(*lines))


def _limits_head() -> Text:
    note = "   points lost against θ0 (negative: gained), or a score in %; [95 %, paired item by item]"
    return Text.assemble(("Limits", "bold"), (note, "dim"))


def _limits_table(picking: Picking) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("limit")
    for split in ("val", "test"):
        table.add_column(split, justify="right", no_wrap=True)
    for place, one in enumerate(picking.val):
        tested = None if picking.test is None else picking.test[place]
        cells = (choices.limit_words(one.floor), choices.reached_cells(one), choices.reached_cells(tested))
        table.add_row(*map(Text, cells))
    return table


def _weights_words(picking: Picking, point: FrontierPoint, storage: str) -> str:
    """Whether the weights of the points shown are kept, and how to get the chosen one's model."""
    shown = [picking.summary.points[i] for i in (picking.choice.index, *picking.choice.next) if i is not None]
    lost = [each.key.text for each in shown if not picking.has_weights(each)]
    name = picking.summary.name
    take = command(f"export {name} FOLDER --point {shlex.quote(point.key.text)}", storage)
    if not lost:
        return f"The weights of {'these points are' if len(shown) > 1 else 'this point are'} kept; take it with: {take}"
    words = f"Not kept (storage.keep): the weights of {', '.join(lost)}"
    if picking.has_weights(point):
        return f"{words}; the picked point's are; take it with: {take}"
    again = command(f"trial {name} {shlex.quote(point.key.text)} --script", storage)
    return f"{words}; a script that makes the picked point's again: {again}"
