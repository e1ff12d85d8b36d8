"""After a trial: which weights stay on disk, decided from all points by the driver alone."""

import logging
from typing import TYPE_CHECKING

from rayforget.frontier.choose import choose_frontier
from rayforget.frontier.recovered import Pair
from rayforget.record.retention import retain, standard_errors

if TYPE_CHECKING:
    from rayforget.frontier.gather import Gathered
    from rayforget.frontier.points import TaskRole
    from rayforget.record.sweep import Sweep
    from rayforget.space.models import Keep

logger = logging.getLogger(__name__)


def tidy_weights(sweep: "Sweep", gathered: "Gathered", roles: "tuple[TaskRole, ...]", keep: "Keep") -> None:
    """Deletes the weights that neither the report nor the frontier's margin needs."""
    stored = sweep.kept_weights()
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
