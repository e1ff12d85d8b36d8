"""A task's splits -> an error if two of them share a document."""

from rayforget.errors import TaskError
from rayforget.tasks.text.resolved import ResolvedText


def check_overlaps(task: ResolvedText) -> None:
    """Refuses documents of equal content in two of train, val and test; halves of a cut cannot share one.

    Raises:
        TaskError: names two such documents and says how many there are.
    """
    first_with: dict[bytes, tuple[str, str]] = {}
    shared: list[str] = []
    for split, items in task.splits.items():
        for document in items.documents:
            other_split, other = first_with.setdefault(document.content, (split, document.name))
            if other_split != split:
                shared.append(f"{other} ({other_split}) and {document.name} ({split})")
    if shared:
        such = "1 such text" if len(shared) == 1 else f"{len(shared)} such texts"
        raise TaskError(
            f"tasks.{task.name}: the same text in two splits: {shared[0]}; {such}; "
            "splits must not overlap: remove them from one"
        )
