"""Names of sweeps in a storage path, and of checkpoints' files in a sweep."""

import re
from datetime import datetime

from rayforget.errors import RecordError
from rayforget.record.command import command, resuming
from rayforget.record.storage.store import Store

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LONGEST_NAME = 150
"""In letters; file systems end at 255, and files beside a sweep have names longer than its own."""
_TAKEN = frozenset({"cache", "mlartifacts", "mlflow.db"})
"""Names of other things in the storage path."""


def sweep_names(storage: Store) -> list[str]:
    """Names of all sweeps in a storage path, sorted; reads none of them, so some may be damaged."""
    return [name for name in storage.folders() if _NAME.fullmatch(name) and storage.exists(f"{name}/sweep.json")]


def name_by_time(space_name: str, created: float) -> str:
    """`SPACE-YYYYMMDD-HHMMSS` in local time."""
    return f"{space_name}-{datetime.fromtimestamp(created):%Y%m%d-%H%M%S}"


def unused_name(storage: Store, space_name: str, created: float) -> str:
    """`name_by_time`, with -2, -3, ... if it is taken."""
    base = name_by_time(space_name, created)
    name, number = base, 2
    while storage.exists(name):
        name, number = f"{base}-{number}", number + 1
    return name


def check_name(name: str) -> None:
    """Refuses, by a RecordError, what cannot be the name of a sweep's folder."""
    if not _NAME.fullmatch(name):
        raise RecordError(f"{name!r} cannot name a sweep; expected letters, digits, dot, dash and underscore")


def check_new_name(storage: Store, name: str) -> None:
    """Refuses, by a RecordError, a name that a new sweep cannot have, or that is taken."""
    check_name(name)
    if name in _TAKEN:
        raise RecordError(f"{name} cannot name a sweep: rayforget keeps {name} beside the sweeps; choose another name")
    if len(name) > _LONGEST_NAME:
        raise RecordError(
            f"a sweep's name has {len(name)} letters ({name[:20]}...), expected at most {_LONGEST_NAME}; choose a "
            "shorter one (--name)"
        )
    if storage.exists(name) and not storage.exists(f"{name}/sweep.json"):
        raise RecordError(f"{name} in {storage} is something other than a sweep; choose another name (--name)")
    if storage.exists(name):
        raise RecordError(
            f"a sweep {name} exists in {storage}; choose another name, go on with it "
            f"({command(resuming(name), storage)}), or delete it ({command(f'rm {name}', storage)})"
        )


def no_sweep(storage: Store, name: str) -> RecordError:
    """The error of a name that no sweep has."""
    found = ", ".join(sweep_names(storage)) or "none; if its space has another storage.path, name that by --storage"
    return RecordError(f"no sweep {name} in {storage}; found: {found}")


def check_place(path: str, expected: str) -> None:
    """Refuses, by a RecordError, a file of the record that lies under another's name, whose results it would lend."""
    if path.rpartition("/")[2] != expected:
        raise RecordError(
            f"{path} was copied or renamed: what it holds belongs under {expected}; give it that name back, or delete "
            "it if that file is there (a sweep that is resumed makes a record again that is missing)"
        )


def file_key(trial: str, step: int) -> str:
    """`trial-step`, the start of a checkpoint's file names."""
    return f"{trial}-{step:06d}"


def split_key(name: str) -> tuple[str, int]:
    """The trial and step of a checkpoint's file; raises RecordError for other names."""
    trial, _, rest = name.rpartition("-")
    step = rest.split(".")[0]
    if not step.isdecimal():
        raise RecordError(f"{name} is no name of the record's, expected TRIAL-STEP.json; move it elsewhere")
    return trial, int(step)
