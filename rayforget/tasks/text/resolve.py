"""Declared tasks on texts -> resolved ones: rows read and checked, prompts filled in, sets cut; no tokens yet."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rayforget.errors import TaskError
from rayforget.space.tasks.any_task import Task
from rayforget.space.tasks.lm_eval import LmEvalCut, LmEvalSplit, LmEvalTask
from rayforget.space.tasks.text import (
    ChatTask,
    InstructionTask,
    LanguageSource,
    MultipleChoiceTask,
    OwnTextTask,
    PlainTextTask,
    TextCut,
    TextSource,
)
from rayforget.tasks.images.cut import in_val
from rayforget.tasks.keys import at_key
from rayforget.tasks.nearest import did_you_mean
from rayforget.tasks.resolved import HALVES, SplitName
from rayforget.tasks.text.answers import index_in, reads_as_index, right_choice
from rayforget.tasks.text.conversations import conversation_documents
from rayforget.tasks.text.documents import Document, contents_of, own_document
from rayforget.tasks.text.lm_eval_task import commit_taken, lm_eval_documents, load_lm_eval_task
from rayforget.tasks.text.metrics import check_metric
from rayforget.tasks.text.overlaps import check_overlaps
from rayforget.tasks.text.prompts import fields_of
from rayforget.tasks.text.resolved import ResolvedText, TextSplit
from rayforget.tasks.text.right_choices import refuse_without_right
from rayforget.tasks.text.rows import Row, read_rows
from rayforget.tasks.text.unusable import why_of
from rayforget.values.skipped import Skipped, counted

__all__ = ["ResolvedText", "TextSplit", "check_overlaps", "resolve_text_tasks"]

_OPTIONAL = {"context", "input"}
_MANY = 6
"""Indices of which one ought to be 0 if the first choice is 0."""


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
        case MultipleChoiceTask() | InstructionTask() | ChatTask() | PlainTextTask():
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
    with at_key(f"tasks.{name}.answer_base"):
        _check_base(task, seen)
    return ResolvedText(name=name, role=task.role, group=task.group, task=task, splits=splits, lm_eval=None)


def _read(key: str, task: OwnTextTask, source: TextSource, seen: list[Row]) -> TextSplit:
    with at_key(key):
        read = read_rows(source)
        seen += (row for row in read.rows if row.fault is None)
        allowed = 0 if isinstance(source, LanguageSource) else source.max_broken
        documents, broken = _usable(task, read.rows, allowed)
    return TextSplit(key=key, documents=documents, revision=read.revision, broken=broken, max_broken=allowed)


def _usable(task: OwnTextTask, rows: Sequence[Row], max_broken: int) -> tuple[tuple[Document, ...], Skipped]:
    """The documents of the rows that can be used, and at most `max_broken` others."""
    documents: list[Document] = []
    broken: dict[str, list[str]] = {}
    first: TaskError | None = None
    for row in rows:
        try:
            documents += conversation_documents(row) if isinstance(task, ChatTask) else [own_document(task, row)]
        except TaskError as error:
            first = first or error
            broken.setdefault(why_of(error), []).append(row.name)
    number = sum(map(len, broken.values()))
    if first is not None and (number > max_broken or not documents):
        raise _too_many(first, broken, number, len(rows), max_broken) from None
    return tuple(documents), broken


def _too_many(first: TaskError, broken: Skipped, number: int, of: int, max_broken: int) -> TaskError:
    if number == 1 and max_broken == 0:
        return first
    allowed = f"max_broken allows {max_broken}" if number > max_broken else "one at least must be used"
    return TaskError(f"{first}; in all {number} of {of} rows cannot be used, and {allowed}: {counted(broken)}")


def _check_base(task: OwnTextTask, rows: Sequence[Row]) -> None:
    """Refuses indices from 1 on, of which none is 0, unless the space says what the first one is."""
    if not isinstance(task, MultipleChoiceTask) or task.answer_base is not None:
        return
    unlabelled = [
        row for row in rows if "choice_labels" not in row.values and not isinstance(row.values.get("choices"), Mapping)
    ]
    _check_digits(unlabelled)
    asked = [row.values.get("answer") for row in unlabelled]
    answers = [index for answer in asked if (index := index_in(answer, 0)) is not None]
    found = sorted(set(answers))
    if len(answers) >= _MANY and len(found) > 1 and found == list(range(1, len(found) + 1)):
        raise TaskError(
            f"none of {len(answers)} answers is 0, found {', '.join(map(str, found))}; write `answer_base: 1` if the "
            "first choice is 1, else `answer_base: 0`"
        )


def _check_digits(rows: Sequence[Row]) -> None:
    """Refuses digits that are both a choice and another choice's index, where other rows' digits are indices."""
    indices: Row | None = None
    doubtful: Row | None = None
    for row in rows:
        answer, choices = row.values.get("answer"), row.values.get("choices")
        if reads_as_index(answer, choices):
            indices = indices or row
        elif isinstance(choices, list | tuple) and isinstance(answer, str) and index_in(answer, 0) is not None:
            by_text, by_index = (right_choice(answer, [str(c) for c in choices], None, base) for base in (None, 0))
            doubtful = doubtful or (row if by_text != by_index else None)
    if indices is not None and doubtful is not None:
        raise TaskError(
            f"{doubtful.name}: answer {doubtful.values['answer']!r} is one of the choices and the index of another, "
            f"and other answers are indices ({indices.name}: {indices.values['answer']!r}); write `answer_base: 0`, or "
            "1 if the first choice is 1"
        )


def _check_prompt(task: OwnTextTask, rows: Sequence[Row]) -> None:
    """Refuses a field that no row has, which would silently leave its line out everywhere."""
    if isinstance(task, PlainTextTask | ChatTask):
        return
    for field in sorted(fields_of(task.prompt) - _OPTIONAL):
        if not any(field in row.values for row in rows):
            columns = ", ".join(sorted(rows[0].values))
            meant = did_you_mean(field, rows[0].values)
            raise TaskError(
                f"names {{{field}}}, which no row has; found {columns}: correct the field, or its line{meant}"
            )


def _resolve_lm_eval(name: str, task: LmEvalTask) -> ResolvedText:
    loaded = load_lm_eval_task(name, task)
    with at_key(f"tasks.{name}.metric"):
        for member in loaded.members.values():
            check_metric(member, task.metric, of_group=loaded.is_group)
    with at_key(f"tasks.{name}.chat_template"):
        if task.chat_template and any(each.OUTPUT_TYPE == "loglikelihood_rolling" for each in loaded.members.values()):
            raise TaskError("found true, and the task scores whole texts, which no template changes: remove it")
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
    resolved = ResolvedText(
        name=name,
        role=task.role,
        group=task.group,
        task=task,
        splits=splits,
        lm_eval=None if loaded.is_group else next(iter(loaded.members.values())),
        members=loaded.members if loaded.is_group else {},
        by_size=loaded.by_size,
    )
    with at_key(f"tasks.{name}.task"):
        refuse_without_right(resolved)
    return resolved


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
