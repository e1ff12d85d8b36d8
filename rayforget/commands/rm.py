"""`rayforget rm NAME`: deletes a sweep for good."""

from rayforget.record import sweep
from rayforget.record.store import Store
from rayforget.report.terminal.live import open_console


def remove_sweep(storage: str, name: str) -> None:
    """Deletes a sweep; raises RecordError if there is none of this name."""
    store = Store.open(storage)
    sweep.remove_sweep(store, name)
    open_console().print(f"deleted {name} from {store}; what MLflow holds of it stays", highlight=False)
