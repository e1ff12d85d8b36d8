"""The space files that come with rayforget, from the wheel or from the checkout it runs in."""

from pathlib import Path

from rayforget.errors import SpaceError


def shipped_folder() -> Path:
    """`rayforget/search_spaces` in an installed wheel, `search_spaces` beside the package in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "search_spaces", package.parent / "search_spaces"):
        if folder.is_dir():
            return folder
    raise SpaceError(f"no search_spaces folder in {package} nor beside it; install rayforget again")


def shipped_names() -> tuple[str, ...]:
    """Names of the shipped space files, sorted."""
    return tuple(sorted(path.stem for path in shipped_folder().glob("*.yaml")))


def shipped(name: str) -> Path:
    """Path of a shipped space file; raises SpaceError with the existing names."""
    path = shipped_folder() / f"{name}.yaml"
    if not path.is_file():
        raise SpaceError(f"no shipped space is called {name!r}; there are: {', '.join(shipped_names())}")
    return path


def quickstart() -> Path:
    """The space that `rayforget sweep` runs by default."""
    return shipped("quickstart")
