"""A recorded sweep -> the space that it was started with, methods and tasks in the order of the space's file."""

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rayforget.errors import RecordError, SpaceError, StorageError
from rayforget.record.gpu_budget import noted_gpu_hours
from rayforget.record.packages import missing_packages
from rayforget.record.sweep import Sweep
from rayforget.space.file.document import read_document
from rayforget.space.frozen import FrozenDict
from rayforget.space.given_space import space_from
from rayforget.space.models import Space

V = TypeVar("V")


def space_of(sweep: Sweep) -> Space:
    """The resolved space that a sweep was started with, with the largest budget it was ever given.

    Methods and tasks keep the order in which the user wrote them: methods take turns in it, and the first task with a
    training split lends its templates to the others. `space.json` has its names sorted and does not tell the order.

    Raises:
        RecordError: `space.json` is damaged, comes from another version of rayforget, or names an extension that is not
            installed here.
    """
    try:
        space = space_from(sweep.space_json())
    except ValidationError as error:
        if missing := missing_packages(sweep.info.provenance):
            text = f"it was made with what is not installed here: install {missing}, on each node"
            raise RecordError(f"sweep {sweep.info.name} cannot be used here: {text}") from None
        if lacking := lacking_here(error):
            raise RecordError(f"sweep {sweep.info.name} cannot be used here: {lacking}") from None
        raise RecordError(
            f"{sweep.store}/space.json is damaged, or of another version of rayforget ({_first(error.errors()[0])}); "
            "restore it from a copy, or use the version that wrote it"
        ) from None
    methods, tasks = _recorded_order(sweep)
    ordered = {"methods": _in_order(space.methods, methods), "tasks": _in_order(space.tasks, tasks)}
    space = space.model_copy(update=ordered)
    if space.resources.max_gpu_hours is not None:
        space = with_gpu_hours(space, max([space.resources.max_gpu_hours, *noted_gpu_hours(sweep)]))
    return with_trainings(space, max([space.search.trainings, *sweep.budgets()]))


def lacking_here(error: ValidationError) -> str | None:
    """The extension that a space names, that was known where its sweep was started, and that is not installed here."""
    for details in error.errors():
        if details["type"] == "problem" and details["loc"][-1:] == ("kind",):
            return _first(details)
        if details["loc"][:2] == ("curve", "paths") or details["loc"][-1:] == ("metric",):
            return details["msg"]
    return None


def lacking_on_this_node(what: str) -> SpaceError:
    """The error of a worker whose node lacks an extension, in one line."""
    return SpaceError(f"node {platform.node()} lacks what the space names: {' '.join(what.split())}")


def with_trainings(space: Space, trainings: int) -> Space:
    """The space with another budget; raises SpaceError if the space cannot have it."""
    tree: dict[str, Any] = space.model_dump(mode="json")
    tree["search"]["trainings"] = trainings
    try:
        return type(space).model_validate(tree)
    except ValidationError as error:
        raise SpaceError(f"the sweep cannot have {trainings} trainings: {_first(error.errors()[0])}") from None


def with_gpu_hours(space: Space, hours: float) -> Space:
    """The space with another budget of GPU hours."""
    return space.model_copy(update={"resources": space.resources.model_copy(update={"max_gpu_hours": hours})})


def space_here(sweep: Sweep, storage: str) -> Space:
    """The sweep's space with the storage that the user names, since its folder may have moved."""
    space = space_of(sweep)
    path = storage if "://" in storage else str(Path(storage).expanduser().absolute())
    return space.model_copy(update={"storage": space.storage.model_copy(update={"path": path})})


def _recorded_order(sweep: Sweep) -> tuple[Sequence[str], Sequence[str]]:
    """Names of methods and of tasks, in order; for an old record as far as the space's text names them."""
    if sweep.info.tasks:  # methods there may be none
        return sweep.info.methods, sweep.info.tasks
    try:
        tree = read_document(sweep.space_text(), "space.yaml").tree
    except StorageError:
        raise
    except (SpaceError, RecordError):  # the text is only for people; without it the names' order must do
        return (), ()
    return _names(tree.get("methods")), _names(tree.get("tasks"))


def _names(tree: Any) -> tuple[str, ...]:
    return tuple(tree) if isinstance(tree, Mapping) else ()


def _in_order(entries: Mapping[str, V], names: Sequence[str]) -> FrozenDict[str, V]:
    """The entries in the order of `names`; entries that it does not name (set by `--set`) follow in their own order."""
    known = [name for name in names if name in entries]
    return FrozenDict({name: entries[name] for name in dict.fromkeys([*known, *entries])})


def _first(details: ErrorDetails) -> str:
    """An error on one line: the key, and what is wrong."""
    where = ".".join(str(key) for key in details["loc"])
    return " ".join(f"{where}: {details['msg']}".removeprefix(": ").split())
