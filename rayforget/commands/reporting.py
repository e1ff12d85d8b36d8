"""A sweep's record at the end of its work -> its report, shown, drawn and mirrored."""

from rich.console import Console

from rayforget.errors import ExtensionError, RecordError, StorageError
from rayforget.record.command import command
from rayforget.record.sweep import Sweep
from rayforget.report.present import mirror_quietly, present
from rayforget.space.models import Space


def report_on(sweep: Sweep, space: Space, console: Console, *, finished: bool) -> bool:
    """Shows, draws and mirrors what is recorded; returns whether the storage permitted it."""
    report = None
    try:
        try:
            report = present(sweep, space, console)
        except StorageError:
            raise
        except RecordError as error:
            console.print(f"no frontier yet: {error}", markup=False, highlight=False)
        mirror_quietly(sweep, space, console, running=not finished, report=report)
        if finished and report is not None:
            words = (f"pick {sweep.info.name}", f"export {sweep.info.name} FOLDER")
            pick, export = (command(each, space.storage.path) for each in words)
            text = f"to choose a point: {pick}\nto make a model of it: {export}"
            console.print(text, soft_wrap=True, markup=False, highlight=False)
    except (ExtensionError, OSError) as error:  # includes StorageError
        again = command(f"frontier {sweep.info.name}", space.storage.path)
        text = f"the report is not complete ({error}); when that is mended: {again}"
        console.print(text, style="red", soft_wrap=True, markup=False, highlight=False)
        return False
    return True
