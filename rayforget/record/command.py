"""A command and its storage path -> what a user has to type, for messages that say what to do next."""

import os
import shlex
from pathlib import Path

from rayforget.record.storage.store import Store
from rayforget.space.file.secrets import without_password

DEFAULT_STORAGE = "runs"
"""The default of `--storage`."""


PROGRAM, WAY, PATHS = "RAYFORGET_USERS_PROGRAM", "RAYFORGET_USERS_WAY", "RAYFORGET_USERS_PATHS"
"""Variables of a job that was submitted from elsewhere: how its user calls this program and names the cluster there,
and the option, if it takes one, that lets paths of the nodes pass."""


def program() -> str:
    """How the user calls this program: `uv run` puts it on no other command's PATH."""
    if PROGRAM in os.environ:
        return os.environ[PROGRAM]
    return "uv run rayforget" if "UV_RUN_RECURSION_DEPTH" in os.environ else "rayforget"


def command(words: str, storage: str | Path | Store) -> str:
    """`rayforget ui NAME`, or `uv run rayforget ui NAME`, with `--storage` if the default would lead elsewhere.

    Args:
        words: the command and its arguments, without `rayforget`.
        storage: the storage path, as a user or a space names it; a password in it is left out.
    """
    place = str(storage)
    if "://" not in place and Path(place).expanduser().absolute() == Path(DEFAULT_STORAGE).absolute():
        return f"{program()} {words}"
    return f"{program()} {words} --storage {shlex.quote(without_password(place))}"


def users_way() -> str | None:
    """Where this runs as a job: how its user, who reads what it prints elsewhere, names the cluster."""
    return os.environ.get(WAY)


def resuming(name: str, address: str | None = None) -> str:
    """The words, for `command`, that go on with a sweep where it ran, from where the user sits.

    Args:
        name: the sweep's.
        address: the Ray cluster's, as the sweep was given it; None for a sweep on this machine alone.
    """
    if (way := users_way()) is not None:
        return " ".join(filter(None, ("submit --resume", name, way, os.environ.get(PATHS))))
    return f"sweep --resume {name}" + ("" if address is None else f" --address {shlex.quote(address)}")
