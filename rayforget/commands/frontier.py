"""`rayforget frontier NAME`: the tables again, the picture and the page."""

from pathlib import Path

from rayforget.metrics.registry import METRICS
from rayforget.record.packages import changed_extensions
from rayforget.record.space_of import space_here
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report.present import present
from rayforget.report.terminal.live import open_console


def show_frontier(storage: str, name: str, out: Path | None, *, full: bool = False) -> None:
    """Prints the frontier and draws it into `out`, or beside the record; `full` adds whole labelled splits.

    Raises:
        RecordError: there is no such sweep, or it holds too little for a frontier.
    """
    sweep = Sweep.open(Store.open(storage), name)
    space, console = space_here(sweep, storage), open_console()
    present(sweep, space, console, out, full=full)
    for change in changed_extensions(sweep.info.provenance, METRICS.group):
        text = f"{change}: scores are as recorded, their errors and intervals are computed by what is here now"
        console.print(text, style="yellow", soft_wrap=True, markup=False, highlight=False)
