"""A task on texts -> what to know of its rows before a sweep: blanks before answers, and choices that are odd."""

from collections.abc import Callable, Iterator
from functools import partial

from rayforget.space.tasks.lm_eval import LmEvalTask
from rayforget.space.tasks.text import InstructionTask, LanguageSource, MultipleChoiceTask
from rayforget.tasks.resolved import SplitName
from rayforget.tasks.text.delimiters import delimiter_of
from rayforget.tasks.text.documents import Document
from rayforget.tasks.text.resolved import ResolvedText
from rayforget.tasks.text.right_choices import right_remarks


def text_remarks(task: ResolvedText) -> Iterator[str]:
    """Sentences that begin with a key of the space, each with the first document that it is about."""
    own = task.task
    if isinstance(own, LmEvalTask):
        yield from right_remarks(task)
    if not isinstance(own, MultipleChoiceTask | InstructionTask):
        return
    blank = delimiter_of(own)[-1:].isspace()
    for split, items in task.splits.items():
        told: dict[str, Callable[[Document], bool]] = {
            "begin an answer with a blank, and the delimiter is one too: take it out of the data, or write "
            "delimiter: ''": _has_blank if blank else _never,
            "have the same choice twice, of which only the first can be found right": _has_equal,
            "have fewer choices than `fields` has columns for them": partial(_has_fewer, _num_columns(own, split)),
        }
        for what, holds in told.items():
            found = [document.name for document in items.documents if holds(document)]
            if found:
                yield f"tasks.{task.name}.{split}: {len(found)} of {len(items.documents)} {what} ({found[0]})"


def _num_columns(task: MultipleChoiceTask | InstructionTask, split: SplitName) -> int:
    """The columns that the space gives for a split's choices; 0 if these are a list."""
    cut = None if task.cut is None else task.cut.source
    source = {"train": task.train, "val": task.val or cut, "test": task.test or cut}[split]
    columns = None if source is None or isinstance(source, LanguageSource) else source.fields.get("choices")
    return len(columns) if isinstance(columns, tuple) else 0


def _never(_: Document) -> bool:
    return False


def _has_blank(document: Document) -> bool:
    return any(choice[:1].isspace() for choice in document.values["choices"])


def _has_equal(document: Document) -> bool:
    choices = document.values["choices"]
    return len(set(choices)) < len(choices)


def _has_fewer(number: int, document: Document) -> bool:
    return len(document.values["choices"]) < number
