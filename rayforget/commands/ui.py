"""`rayforget ui NAME`: MLflow's UI on a sweep's store."""

from rayforget.record.space_of import space_here
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report.mlflow.ui import run_ui
from rayforget.report.terminal.live import open_console


def open_ui(storage: str, name: str, port: int) -> int:
    """Runs MLflow's UI on a sweep's store until Ctrl-C; returns the exit code.

    Raises:
        RecordError: there is no such sweep, or nothing is mirrored yet.
        MirrorError: there is no store that MLflow could open.
    """
    sweep = Sweep.open(Store.open(storage), name)
    return run_ui(sweep, space_here(sweep, storage), port, open_console())
