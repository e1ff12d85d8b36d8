"""Tasks that are scored on a part of one labelled split -> the footnotes that say so."""

from rayforget.frontier.summary import Summary
from rayforget.record.command import program


def half_notes(summary: Summary) -> list[str]:
    """One line for each way in which tasks were cut; none if no task was."""
    ways: dict[tuple[float, int], list[str]] = {}
    for task in summary.halved:
        ways.setdefault((task.val_share, task.seed), []).append(task.name)
    return [
        f"cut in two by a seeded hash of each item (seed {seed}), {100 * share:g} % for val and "
        f"{100 - 100 * share:g} % for test: {', '.join(names)}; scores on a part of a labelled split are not the "
        f"published numbers ({program()} frontier {summary.name} --full prints the whole split beside them)"
        for (share, seed), names in ways.items()
    ]
