"""A command and where the sweeps lie -> what a user types, for messages that say what to do next."""

import shlex
from pathlib import Path

from rayforget.record.store import Store

DEFAULT_STORAGE = "runs"
"""What `--storage` is when it is left out."""


def command(words: str, storage: str | Path | Store) -> str:
    """`rayforget ui NAME`, with `--storage` wherever the default would lead elsewhere.

    Args:
        words: the command and its arguments, without `rayforget`.
        storage: the storage path, as a user or a space names it.
    """
    place = str(storage)
    if "://" not in place and Path(place).expanduser().absolute() == Path(DEFAULT_STORAGE).absolute():
        return f"rayforget {words}"
    return f"rayforget {words} --storage {shlex.quote(place)}"
