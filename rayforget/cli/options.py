"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

SpaceFile = Annotated[Path | None, typer.Argument(help="Space file (YAML); the built-in quickstart when left out.")]
SweepName = Annotated[str, typer.Argument(metavar="NAME", help="Name of a sweep; `rayforget list` shows them.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the space file; repeatable.")
]
Trials = Annotated[int | None, typer.Option("--trials", help="Trainings of the sweep (search.trainings).")]
Storage = Annotated[
    str, typer.Option("--storage", help="Folder or URI that holds the sweeps.", envvar="RAYFORGET_STORAGE")
]
SweepStorage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        help="Folder or URI that holds the sweeps; default: the space's storage.path, of --resume `runs`.",
        envvar="RAYFORGET_STORAGE",
    ),
]
SpaceStorage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        help="Folder or URI that holds the sweeps; default: the space's storage.path.",
        envvar="RAYFORGET_STORAGE",
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show Ray's own messages too.")]


def path_of(space: Path | None) -> Path:
    """The named space file, or the built-in quickstart."""
    if space is not None:
        return space
    from rayforget.space.shipped import quickstart

    return quickstart()


def overrides(set_: list[str] | None, trials: int | None, storage: str | None = None) -> tuple[str, ...]:
    """`--set`, `--trials` and `--storage` as overrides of the space file."""
    found = list(set_ or [])
    if trials is not None:
        found.append(f"search.trainings={trials}")
    if storage is not None:
        found.append(f"storage.path={storage}")
    return tuple(found)


def refuse(message: str) -> NoReturn:
    """Raises SpaceError with the message."""
    from rayforget.errors import SpaceError

    raise SpaceError(message)
