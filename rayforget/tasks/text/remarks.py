"""A task on texts -> what to know of its rows before a sweep: blanks before answers, and choices that are odd."""

from collections.abc import Callable, Iterator

from rayforget.space.tasks.text import (
    CsvSource,
    InstructionTask,
    JsonLinesSource,
    MultipleChoiceTask,
    ParquetSource,
    TextDatasetSource,
)
from rayforget.tasks.text.delimiters import delimiter_of
from rayforget.tasks.text.documents import Document
from rayforget.tasks.text.resolved import ResolvedText


def text_remarks(task: ResolvedText) -> Iterator[str]:
    """Sentences that begin with a key of the space, each with the first document that it is about."""
    own = task.task
    if not isinstance(own, MultipleChoiceTask | InstructionTask):
        return
    delimiter = delimiter_of(own)
    for split, items in task.splits.items():
        cut = None if own.cut is None else own.cut.source
        source = {"train": own.train, "val": own.val or cut, "test": own.test or cut}[split]
        stored = isinstance(source, JsonLinesSource | CsvSource | ParquetSource | TextDatasetSource)
        asked = source.fields.get("choices") if stored else None
        told: dict[str, Callable[[Document], bool]] = {
            "begin an answer with a blank, and the delimiter is one too: take it out of the data, or write "
            "delimiter: ''": lambda document: delimiter[-1:].isspace() and _has_blank(document),
            "have the same choice twice, of which only the first can be found right": _has_equal,
            "have fewer choices than `fields` has columns for them": (
                lambda document, asked=asked: isinstance(asked, tuple) and len(document.values["choices"]) < len(asked)
            ),
        }
        for what, holds in told.items():
            found = [document.name for document in items.documents if holds(document)]
            if found:
                yield f"tasks.{task.name}.{split}: {len(found)} of {len(items.documents)} {what} ({found[0]})"


def _has_blank(document: Document) -> bool:
    return any(choice[:1].isspace() for choice in document.values["choices"])


def _has_equal(document: Document) -> bool:
    choices = document.values["choices"]
    return len(set(choices)) < len(choices)
