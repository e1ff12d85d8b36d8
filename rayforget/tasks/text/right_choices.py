"""lm-eval's multiple choice -> the documents whose right answer is none of their choices.

lm-eval counts such a document as wrong, whatever a model answers, and says so in its log alone. A label that is text
("2", as HellaSwag has it) and read as it is makes all documents such ones.
"""

from collections.abc import Iterator
from typing import Any

from rayforget.errors import TaskError
from rayforget.tasks.text.documents import Document
from rayforget.tasks.text.resolved import ResolvedText

_LOOKED_AT = 300
"""Documents of a split, so that templates are filled in a fraction of a second."""


def right_remarks(task: ResolvedText) -> Iterator[str]:
    """A sentence for each split with such documents."""
    for split, items in task.splits.items():
        looked, found = _without_right(task, items.documents)
        if found:
            first, right = found[0]
            yield (
                f"tasks.{task.name}.{split}: {len(found)} of {looked} have no right answer among their choices, and "
                f"lm-eval counts them as wrong, whatever is answered ({first.name}: {right!r})"
            )


def refuse_without_right(task: ResolvedText) -> None:
    """Refuses a split of which no document could be answered rightly.

    Raises:
        TaskError: gives the first document's.
    """
    for items in task.splits.values():
        looked, found = _without_right(task, items.documents)
        if found and len(found) == looked:
            first, right = found[0]
            raise TaskError(
                f"{first.name}: the right answer is {right!r}, which is neither one of its choices nor the number of "
                f"one, nor is any other document's ({looked} looked at), so that every score would be 0; correct "
                "doc_to_target, e.g. `{{label|int}}` for a number that the data has as text"
            )


def _without_right(task: ResolvedText, documents: tuple[Document, ...]) -> tuple[int, list[tuple[Document, Any]]]:
    """How many documents were looked at, and those without a right answer with what stands in its place."""
    looked, found = 0, []
    for document in documents[:_LOOKED_AT]:
        judged = task.members[document.part] if task.members else task.lm_eval
        if judged is None or judged.OUTPUT_TYPE != "multiple_choice" or callable(judged.config.process_results):
            continue
        looked += 1
        try:
            choices = judged.doc_to_choice(document.values)
            right = (judged.doc_to_text if judged.multiple_input else judged.doc_to_target)(document.values)
        except Exception:  # told with its place when the document is asked about
            continue
        if not any(_is_one(each, choices) for each in (right if isinstance(right, list) else [right])):
            found.append((document, right))
    return looked, found


def _is_one(right: Any, choices: Any) -> bool:
    return right in choices if isinstance(right, str) or right is None else 0 <= float(right) < len(choices)
