"""A file of Git LFS that was cloned without its contents -> the words that say so."""

from pathlib import Path

BEGINNING = b"version https://git-lfs"
"""How a pointer begins, a text of some 130 bytes that stands where the file ought to be."""


def is_pointer(path: Path) -> bool:
    """Whether the file is a pointer; False for one that cannot be read, and for a pipe, which may never end."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(BEGINNING)) == BEGINNING
    except OSError:
        return False


def pointer_within(folder: Path) -> Path | None:
    """The first pointer among a folder's files, however deep."""
    return next((path for path in sorted(folder.rglob("*")) if is_pointer(path)), None)


def told(path: Path, what: str) -> str:
    """`FILE is Git LFS's pointer to the weights instead of the weights; ...`; `what` says what ought to be there."""
    return f"{path} is Git LFS's pointer to {what} instead of {what}; fetch them: git lfs pull"
