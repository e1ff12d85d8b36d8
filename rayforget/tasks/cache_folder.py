"""Writes one folder of a node's cache under a temporary name, moves it into place whole, clears leftovers."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(folder: Path, *, is_whole: Callable[[Path], bool]) -> Iterator[Path]:
    """Yields an empty folder to write into, which then becomes `folder`. If two processes do so at once, both succeed.

    Its files are on the disk before it has its name, so that a loss of power leaves the whole folder or none.

    Args:
        folder: the target; an incomplete one is replaced.
        is_whole: whether a folder is complete; another process may have been faster.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.", ignore_cleanup_errors=True) as name:
        complete = Path(name) / "complete"
        complete.mkdir()
        yield complete
        if is_whole(folder):
            return
        for file in complete.iterdir():
            _to_disk(file)
        _to_disk(complete)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            complete.rename(folder)
        except OSError:  # the other process was faster
            if not folder.is_dir():
                raise
        _to_disk(folder.parent)


def _to_disk(path: Path) -> None:
    """Waits until a file or a folder is on the disk; file systems that cannot sync folders are believed."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Removes what processes left that died while writing this folder; call only under its lock."""
    for leftover in folder.parent.glob(f"{folder.name}.*"):
        shutil.rmtree(leftover, ignore_errors=True)
