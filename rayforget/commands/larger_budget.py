"""What a resumed sweep may change: it gets more trainings, or more GPU hours, and nothing else."""

import math
from collections.abc import Sequence

from rayforget.errors import SpaceError
from rayforget.record.space_of import with_gpu_hours, with_trainings
from rayforget.space.models import Space


def with_budget(space: Space, overrides: Sequence[str]) -> Space:
    """The space of a sweep to go on with, with its larger budgets.

    Args:
        space: as it was.
        overrides: `key.path=value` options.

    Raises:
        SpaceError: one of them is something else, or a smaller budget.
    """
    for override in overrides:
        key, _, value = override.partition("=")
        if key == "storage.shared" and value in ("true", "false"):
            storage = space.storage.model_copy(update={"shared": value == "true"})
            space = space.model_copy(update={"storage": storage})
        elif key == "search.trainings":
            if not value.isdecimal() or int(value) < space.search.trainings:
                raise SpaceError(
                    f"--trials {value} is not more than the sweep's {space.search.trainings}; give a larger number, or "
                    "none"
                )
            space = with_trainings(space, int(value))
        elif key == "resources.max_gpu_hours":
            space = with_gpu_hours(space, _more_hours(space, value))
        else:
            raise SpaceError(
                f"--resume goes on with the space as it was, found --set {override}; only a larger search.trainings "
                "(--trials), a larger resources.max_gpu_hours and storage.shared may change: start another sweep for "
                "other settings"
            )
    return space


def _more_hours(space: Space, value: str) -> float:
    before = space.resources.max_gpu_hours
    if before is None:
        raise SpaceError(
            f"--set resources.max_gpu_hours={value}: the sweep has no limit of GPU hours, and gets none on its way"
        )
    try:
        hours = float(value)
    except ValueError:
        hours = math.nan
    if not before <= hours < math.inf:
        raise SpaceError(
            f"--set resources.max_gpu_hours={value} is not more than the sweep's {before:g}; give a larger number, or "
            "leave it out"
        )
    return hours
