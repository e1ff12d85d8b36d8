"""A recorded sweep -> the space that it was started with."""

from pathlib import Path
from typing import Any

from rayforget.record.sweep import Sweep
from rayforget.space.models import Space


def space_of(sweep: Sweep) -> Space:
    """The resolved space that a sweep was started with, its budget the largest it was ever given."""
    space = Space.model_validate_json(sweep.space_json())
    return with_trainings(space, max([space.search.trainings, *sweep.budgets()]))


def with_trainings(space: Space, trainings: int) -> Space:
    """The space with another budget."""
    tree: dict[str, Any] = space.model_dump(mode="json")
    tree["search"]["trainings"] = trainings
    return Space.model_validate(tree)


def space_here(sweep: Sweep, storage: str) -> Space:
    """The sweep's space with the storage that the user names: its folder may have moved since."""
    space = space_of(sweep)
    path = storage if "://" in storage else str(Path(storage).expanduser().absolute())
    return space.model_copy(update={"storage": space.storage.model_copy(update={"path": path})})
