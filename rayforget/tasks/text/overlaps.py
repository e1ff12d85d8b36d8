"""A task's splits -> an error if two of them share a document."""

from rayforget.errors import TaskError
from rayforget.tasks.shared_items import refusal, shared_items
from rayforget.tasks.text.resolved import ResolvedText


def check_overlaps(task: ResolvedText) -> None:
    """Refuses documents of equal content in two of train, val and test; halves of a cut cannot share one.

    Raises:
        TaskError: names two such documents and says how many there are.
    """
    pairs = shared_items(
        (split, document.name, document.content) for split, items in task.splits.items() for document in items.documents
    )
    if pairs:
        raise TaskError(refusal(task.name, pairs, "text", "remove them from one"))
