"""Failed trainings whose extensions have been changed since -> tried again when their sweep is resumed.

A failure is recorded with the versions and sources of the extensions in use. If its author mends one, the failure says
nothing about the recipe any more: its record is moved to `failed/`, and the training is one of those not yet done.
"""

from collections import Counter
from collections.abc import Collection

from rayforget.record.packages import changed_since
from rayforget.record.sweep import Sweep


def set_aside_failures(sweep: Sweep) -> list[str]:
    """Takes such failures out of the record; only for the one process that writes, before it reads the record.

    Returns:
        The trainings to be tried again.
    """
    again = []
    recorded = Counter(brief.trial for brief in sweep.briefs())
    for brief in sweep.briefs():
        # One that failed after a checkpoint stays: its points would otherwise be of two versions.
        if brief.status != "failed" or recorded[brief.trial] > 1:
            continue
        record = sweep.record(brief.trial, brief.step)
        penalties = {str(penalty["kind"]) for penalty in record.recipe.get("penalties", ())}
        if changed_since(record.provenance, penalties):
            sweep.set_aside(record)
            again.append(brief.trial)
    return again


def may_be_tried_again(sweep: Sweep, failed: Collection[str]) -> bool:
    """Whether one of these failed trainings used another package's extension."""
    return any(sweep.record(trial, 0).provenance.get("extensions") for trial in failed if sweep.has(trial, 0))
