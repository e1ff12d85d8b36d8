"""Failed trainings whose extensions have been changed since -> tried again when their sweep is resumed.

A failure is recorded with the versions and sources of the extensions in use. If its author mends one, the failure says
nothing about the recipe any more: its record is moved to `failed/`, and the training is one of those not yet done.
"""

from collections.abc import Collection

from rayforget.record.packages import changed_since
from rayforget.record.sweep import Sweep


def set_aside_failures(sweep: Sweep) -> list[str]:
    """Takes such failures out of the record; only for the one process that writes, before it reads the record.

    Returns:
        The trainings to be tried again.
    """
    again = []
    for brief in sweep.briefs():
        if brief.status != "failed":
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
