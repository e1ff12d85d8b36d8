"""A recorded sweep -> the space that it was started with."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rayforget.errors import RecordError, SpaceError
from rayforget.record.sweep import Sweep
from rayforget.space.models import Space


def space_of(sweep: Sweep) -> Space:
    """The resolved space that a sweep was started with, its budget the largest it was ever given.

    Raises:
        RecordError: `space.json` is damaged, or of another version of rayforget, or names an extension that is not
            installed here.
    """
    try:
        space = Space.model_validate_json(sweep.space_json())
    except ValidationError as error:
        for details in error.errors():
            if details["type"] == "union_tag_invalid":  # a name that was known where the sweep was started
                raise RecordError(
                    f"sweep {sweep.info.name} cannot be used here: {_first(details)}; a package that brings it must be "
                    "installed"
                ) from None
        raise RecordError(
            f"{sweep.store}/space.json is damaged, or of another version of rayforget ({_first(error.errors()[0])}); "
            "restore it from a copy, or use the version that wrote it"
        ) from None
    return with_trainings(space, max([space.search.trainings, *sweep.budgets()]))


def with_trainings(space: Space, trainings: int) -> Space:
    """The space with another budget; raises SpaceError where the space cannot have it."""
    tree: dict[str, Any] = space.model_dump(mode="json")
    tree["search"]["trainings"] = trainings
    try:
        return Space.model_validate(tree)
    except ValidationError as error:
        raise SpaceError(f"the sweep cannot have {trainings} trainings: {_first(error.errors()[0])}") from None


def space_here(sweep: Sweep, storage: str) -> Space:
    """The sweep's space with the storage that the user names: its folder may have moved since."""
    space = space_of(sweep)
    path = storage if "://" in storage else str(Path(storage).expanduser().absolute())
    return space.model_copy(update={"storage": space.storage.model_copy(update={"path": path})})


def _first(details: ErrorDetails) -> str:
    """An error on one line: which key, and what is wrong."""
    where = ".".join(str(key) for key in details["loc"])
    return " ".join(f"{where}: {details['msg']}".removeprefix(": ").split())
