"""A space and its opened data -> the same space with the commit of every hub data set."""

from typing import TYPE_CHECKING

from rayforget.space.models import Space

if TYPE_CHECKING:
    from rayforget.tasks.opening import Opened


def pin_revisions(space: Space, tasks: "Opened") -> Space:
    """The space that a sweep records and its workers and resumes open, pinned to the data that the driver has checked.

    Otherwise each of them would take the newest commit, and nobody could tell later which one that was.

    Args:
        space: with or without `revision`; a branch or a tag becomes its commit.
        tasks: its opened tasks; local data has no commit and stays as it is.
    """
    tree = space.model_dump(mode="json")
    for name, task in tasks.items():
        for items in task.splits.values():
            if items.revision is not None:
                declared = tree["tasks"][name]
                if declared["kind"] != "lm_eval":  # lm-eval has one data set for all its splits
                    declared = declared[items.key.rpartition(".")[2]]
                    declared = declared["source"] if items.key.endswith(".cut") else declared
                declared["revision"] = items.revision
    return type(space).model_validate(tree)
