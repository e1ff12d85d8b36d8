"""`--out FOLDER` and a drawing -> a file in it, or one message that names the option."""

import os
from pathlib import Path

from rayforget.errors import StorageError


def check_out(folder: Path) -> None:
    """Refuses a folder into which files cannot be written, before they are computed; writes nothing.

    Raises:
        StorageError: the path is a file, is below a file, or is closed to this user.
    """
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise StorageError(f"--out {folder} cannot be written: {there} is no folder; give a folder, which may be new")
    if not os.access(there, os.W_OK | os.X_OK):
        raise StorageError(f"--out {folder} cannot be written: no leave to write into {there}; give another folder")


def write_out(folder: Path, name: str, data: bytes) -> None:
    """Writes a file into the folder, which is created if missing; raises StorageError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    except OSError as error:
        raise StorageError(f"--out {folder}: {name} cannot be written ({error.strerror}); give another") from error
