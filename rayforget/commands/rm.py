"""`rayforget rm NAME`: deletes a sweep for good, and nothing that is not the sweep's own."""

from rich.text import Text

from rayforget.record import removal
from rayforget.record.storage.store import Store
from rayforget.report.terminal.live import open_console

_NUM_NAMED = 10


def remove_sweep(storage: str, name: str) -> None:
    """Deletes a sweep; raises RecordError if there is none of this name."""
    store, console = Store.open(storage), open_console()
    left = removal.remove_sweep(store, name)
    console.print(Text(f"deleted {name} from {store}; what MLflow holds of it stays"), soft_wrap=True)
    if left:
        more = f" and {len(left) - _NUM_NAMED} more" if len(left) > _NUM_NAMED else ""
        named = ", ".join(repr(path) for path in left[:_NUM_NAMED])
        text = f"not deleted, since the sweep did not make it: {named}{more} in {store.within(name)}"
        console.print(Text(text, style="yellow"), soft_wrap=True)
