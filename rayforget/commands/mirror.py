"""`rayforget mirror NAME`: writes a sweep's record to MLflow."""

from rayforget.commands.glance import glance
from rayforget.printable import one_line
from rayforget.record.space_of import space_here
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report import present
from rayforget.report.terminal.live import open_console


def mirror_sweep(storage: str, name: str, *, register: bool) -> None:
    """Writes a sweep's record to MLflow and says where; `register` makes the picked point the registry's champion.

    Raises:
        RecordError: there is no such sweep, or theta_0 is not scored yet.
        MirrorError: MLflow refuses it, or no point is picked.
    """
    sweep = Sweep.open(Store.open(storage), name)
    space = space_here(sweep, storage)
    running = not glance(sweep, resamples=0)[0].finished
    for line in present.mirror_sweep(sweep, space, running=running, register=register):
        open_console().print(f"MLflow {one_line(line)}", markup=False, highlight=False, soft_wrap=True)
