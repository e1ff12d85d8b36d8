"""Writes one folder of a node's cache under a temporary name, moves it into place whole, clears leftovers."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(folder: Path, *, is_whole: Callable[[Path], bool]) -> Iterator[Path]:
    """Yields an empty folder to write into, which then becomes `folder`. If two processes do so at once, both succeed.

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
        shutil.rmtree(folder, ignore_errors=True)
        try:
            complete.rename(folder)
        except OSError:  # the other process was faster
            if not folder.is_dir():
                raise


def remove_leftovers(folder: Path) -> None:
    """Removes what processes left that died while writing this folder; call only under its lock."""
    for leftover in folder.parent.glob(f"{folder.name}.*"):
        shutil.rmtree(leftover, ignore_errors=True)
