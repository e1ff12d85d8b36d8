"""`rayforget report NAME`: the page, where it is wanted."""

from pathlib import Path

from rayforget.record.space_of import space_here
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report.out_folder import check_out, write_out
from rayforget.report.present import PAGE, read_report
from rayforget.report.terminal.live import open_console
from rayforget.report.words.numbers import read


def write_report(storage: str, name: str, out: Path | None) -> None:
    """Writes the page beside the record, into a folder, or as the file that `out` names by its `.html`.

    Raises:
        RecordError: there is no such sweep, or it holds too little for a frontier.
        StorageError: `out` cannot be written.
    """
    folder, file = _place(out)
    if folder is not None:
        check_out(folder)
    sweep = Sweep.open(Store.open(storage), name)
    report = read_report(sweep, space_here(sweep, storage))
    if folder is None:
        sweep.store.write(f"report/{file}", report.page)
        where = f"{sweep.store}/report/{file}"
    else:
        write_out(folder, file, report.page)
        where = str(folder / file)
    console = open_console()
    if report.summary.notice is not None:
        console.print(report.summary.notice, style="yellow", markup=False, highlight=False, soft_wrap=True)
    for line in read(report.summary):
        console.print(line, markup=False, highlight=False)
    console.print(f"report: {where}", markup=False, highlight=False, soft_wrap=True)


def _place(out: Path | None) -> tuple[Path | None, str]:
    """The folder, None for the record's own, and the name of the file in it."""
    if out is not None and out.suffix == ".html" and not out.is_dir():
        return out.parent, out.name
    return out, PAGE
