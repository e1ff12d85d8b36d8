"""Declared tasks on texts -> resolved ones: rows read and checked, prompts filled in, sets cut; no tokens yet."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rayforget.errors import TaskError
from rayforget.space.tasks import Task
from rayforget.space.text import (
    InstructionTask,
    LmEvalCut,
    LmEvalSplit,
    LmEvalTask,
    MultipleChoiceTask,
    OwnTextTask,
    PlainTextTask,
    TextCut,
    TextSource,
)
from rayforget.tasks.images.cut import in_val
from rayforget.tasks.keys import at_key
from rayforget.tasks.resolved import HALVES, SplitName
from rayforget.tasks.text.documents import contents_of, own_document
from rayforget.tasks.text.lm_eval_task import commit_taken, lm_eval_documents, load_lm_eval_task
from rayforget.tasks.text.metrics import check_metric
from rayforget.tasks.text.overlaps import check_overlaps
from rayforget.tasks.text.prompts import fields_of
from rayforget.tasks.text.resolved import ResolvedText, TextSplit
from rayforget.tasks.text.rows import Row, read_rows

__all__ = ["ResolvedText", "TextSplit", "check_overlaps", "resolve_text_tasks"]

_OPTIONAL = {"context", "input"}


def resolve_text_tasks(tasks: Mapping[str, Task]) -> dict[str, ResolvedText]:
    """Reads every task's data and settles its documents.

    Raises:
        TaskError: the message starts with the key in the space file, e.g. `tasks.arc.val: FILE:3: expected ...`.
    """
    return {name: _resolve(name, task) for name, task in tasks.items()}


def _resolve(name: str, task: Task) -> ResolvedText:
    match task:
        case LmEvalTask():
            return _resolve_lm_eval(name, task)
        case MultipleChoiceTask() | InstructionTask() | PlainTextTask():
            return _resolve_own(name, task)
        case _:
            raise TaskError(f"tasks.{name}.kind: found {task.kind}, expected a task on texts")


def _resolve_own(name: str, task: OwnTextTask) -> ResolvedText:
    declared: dict[SplitName, TextSource | None] = {"train": task.train, "val": task.val, "test": task.test}
    splits: dict[SplitName, TextSplit] = {}
    seen: list[Row] = []
    for split, source in declared.items():
        if source is not None:
            splits[split] = _read(f"tasks.{name}.{split}", task, source, seen)
    if task.cut is not None:
        splits |= _halves(_read(f"tasks.{name}.cut", task, task.cut.source, seen), task.cut)
    with at_key(f"tasks.{name}.prompt"):
        _check_prompt(task, seen)
    return ResolvedText(name=name, role=task.role, group=task.group, task=task, splits=splits, lm_eval=None)


def _read(key: str, task: OwnTextTask, source: TextSource, seen: list[Row]) -> TextSplit:
    with at_key(key):
        read = read_rows(source)
        seen += read.rows
        documents = tuple(own_document(task, row) for row in read.rows)
    return TextSplit(key=key, documents=documents, revision=read.revision)


def _check_prompt(task: OwnTextTask, rows: Sequence[Row]) -> None:
    """Refuses a field that no row has, which would silently leave its line out everywhere."""
    if isinstance(task, PlainTextTask):
        return
    for field in sorted(fields_of(task.prompt) - _OPTIONAL):
        if not any(field in row.values for row in rows):
            columns = ", ".join(sorted(rows[0].values))
            raise TaskError(f"names {{{field}}}, which no row has; found {columns}: correct the field, or its line")


def _resolve_lm_eval(name: str, task: LmEvalTask) -> ResolvedText:
    loaded = load_lm_eval_task(name, task)
    with at_key(f"tasks.{name}.metric"):
        check_metric(loaded, task.metric)
    with at_key(f"tasks.{name}.revision"):
        commit = commit_taken(loaded, task)
    splits: dict[SplitName, TextSplit] = {}
    if task.cut is not None:
        with at_key(f"tasks.{name}.cut"):
            documents = lm_eval_documents(loaded, task, task.cut.split)
        splits = _halves(TextSplit(key=f"tasks.{name}.cut", documents=documents, revision=commit), task.cut)
    asked: dict[SplitName, LmEvalSplit | None] = {"val": task.val, "test": task.test}
    for split, own in asked.items():
        if own is not None:
            with at_key(f"tasks.{name}.{split}"):
                documents = lm_eval_documents(loaded, task, own)
            splits[split] = TextSplit(key=f"tasks.{name}.{split}", documents=documents, revision=commit)
    return ResolvedText(name=name, role=task.role, group=task.group, task=task, splits=splits, lm_eval=loaded)


def _halves(whole: TextSplit, cut: TextCut | LmEvalCut) -> dict[SplitName, TextSplit]:
    """Both sides of a cut by content, each in the order of the whole."""
    chosen = in_val(contents_of(whole.documents), seed=cut.seed, val_share=cut.val_share)
    halves: dict[SplitName, TextSplit] = {}
    for side, kept in zip(HALVES, (chosen, ~chosen), strict=True):
        documents = tuple(document for document, taken in zip(whole.documents, kept, strict=True) if taken)
        if not documents:
            count = len(whole.documents)
            raise TaskError(f"{whole.key}: {count} items leave none for {side}; change val_share or seed")
        halves[side] = replace(whole, documents=documents)
    return halves
