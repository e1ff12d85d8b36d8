"""After a trial: decides from all points which weights stay on disk; only the driver does."""

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rayforget.errors import StorageError
from rayforget.frontier.choose import choose_frontier
from rayforget.frontier.recovered import Pair
from rayforget.record.retention import Checkpoint, retain, standard_errors

if TYPE_CHECKING:
    from rayforget.frontier.gather import Gathered
    from rayforget.frontier.points import TaskRole
    from rayforget.record.sweep import Sweep
    from rayforget.space.parts import Keep

logger = logging.getLogger(__name__)
Leading = Callable[[Iterable[Checkpoint]], "Gathered"]


def tidy_weights(sweep: "Sweep", leading: Leading, roles: "tuple[TaskRole, ...]", keep: "Keep") -> None:
    """Deletes the weights that neither the report nor the frontier's margin needs.

    Does not wait for a storage that does not answer, since the next trial decides anew.

    Args:
        sweep: the sweep.
        leading: gives the points that a report may choose, and all points of given checkpoints.
        roles: each task's role.
        keep: how near to the frontier weights must be, and how many bytes they may take.
    """
    try:
        _tidy(type(sweep)(sweep.store.waiting(0), sweep.info), leading, roles, keep)
    except StorageError as error:
        if not error.transient:
            raise
        logger.info("weights stay until the next trial is done: %s", error)


def _tidy(sweep: "Sweep", leading: Leading, roles: "tuple[TaskRole, ...]", keep: "Keep") -> None:
    stored = sweep.kept_weights()
    gathered = leading(stored)
    frontier = choose_frontier(gathered.points)
    if not stored or not frontier:
        return
    if keep.margin is not None:
        margin: Pair = (keep.margin, keep.margin)
    else:
        margin = standard_errors(gathered.val[gathered.points[frontier[-1]].key], roles)
    decided = retain(gathered.points, stored, margin=margin, max_bytes=keep.max_gib * 2**30)
    for trial, step in decided.delete:
        sweep.drop_weights(trial, step)
    if decided.warning:
        logger.warning("%s", decided.warning)
