"""The user's own rows -> checked documents: a prompt, the answers to choose from, the right one."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from string import ascii_uppercase
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import TaskError
from rayforget.space.tasks.text import InstructionTask, MultipleChoiceTask, PlainTextTask
from rayforget.tasks.images.contents import HASH_BYTES, content_hash
from rayforget.tasks.keys import at_key
from rayforget.tasks.text.answers import index_in, right_choice
from rayforget.tasks.text.choices import Choices, choices_of
from rayforget.tasks.text.prompts import is_missing, render, text_of
from rayforget.tasks.text.row_words import columns_of, found_in, named
from rayforget.tasks.text.rows import Row
from rayforget.tasks.text.unusable import UnusableRowError


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One item: a question and its right answer."""

    values: Mapping[str, Any]
    """For the user's own: `prompt`, `choices` (or an instruction's output, or a plain text, alone) and `answer` (its
    index); for lm-eval's: the document as its task has it."""
    content: bytes
    """Hash that identifies the item; see `own_document`, and `lm_eval_documents` for lm-eval's."""
    name: str
    """The document's name in messages."""
    row: str = ""
    """The name of the row that it is from, for the user's own: one may make several."""
    part: str = ""
    """For a group of lm-eval's: the name of the document's task."""

    @property
    def prompt(self) -> str:
        """The text before the answer; only for the user's own documents."""
        return str(self.values["prompt"])

    @property
    def answer(self) -> str:
        """The right answer, without the space before it; only for the user's own documents."""
        return str(self.values["choices"][self.values["answer"]])


def own_document(task: MultipleChoiceTask | InstructionTask | PlainTextTask, row: Row) -> Document:
    """Checks a row and fills in the prompt.

    A multiple-choice document's content is its prompt's fields and choices without the answer, as an image's content
    excludes its label; any other document's is all that the task reads.

    Raises:
        TaskError: the message starts with the row's name and says which key was expected and what was found.
    """
    if row.fault is not None:
        raise UnusableRowError(row.fault, why=row.why)
    match task:
        case MultipleChoiceTask():
            question, offered = _text(row, "question"), choices_of(row)
            choices = list(offered.texts)
            content = ["multiple_choice", question, _known(row, "context"), *choices]
            values = {"prompt": _prompt(task, row), "choices": choices, "answer": _answer(task, row, offered)}
        case InstructionTask():
            instruction, output = _text(row, "instruction"), _text(row, "output")
            content = ["instruction", instruction, _known(row, "input"), output]
            values = {"prompt": _prompt(task, row), "choices": [output], "answer": 0}
        case PlainTextTask():
            text = _text(row, "text")
            content = ["text", text]
            values = {"prompt": "", "choices": [text], "answer": 0}
        case _:
            assert_never(task)
    return Document(values=values, content=content_hash(canonical(content)), name=row.name, row=row.name)


def contents_of(documents: Sequence[Document]) -> NDArray[np.uint8]:
    """Content hashes, shape (n, 16)."""
    joined = b"".join(document.content for document in documents)
    return np.frombuffer(joined, dtype=np.uint8).reshape(-1, HASH_BYTES)


def documents_hash(documents: Iterable[Document], *parts: str) -> str:
    """32 hex digits over the documents' values in order, and over `parts`."""
    digest = sha256("\n".join(parts).encode())
    for document in documents:
        digest.update(b"\n" + canonical(document.values))
    return digest.hexdigest()[:32]


def canonical(values: Any) -> bytes:
    """Equal bytes for equal values: JSON with sorted keys; values that JSON lacks (dates) as text."""
    return json.dumps(values, sort_keys=True, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")


def _prompt(task: MultipleChoiceTask | InstructionTask, row: Row) -> str:
    with at_key(row.name):
        return render(task.prompt, row.values)


def _known(row: Row, key: str) -> str:
    """An optional field for the item's hash, also one that no prompt could show."""
    value = row.values.get(key)
    try:
        return text_of(value)
    except TaskError:
        return canonical(value).decode("utf-8", "surrogatepass")


def _text(row: Row, key: str) -> str:
    value = row.values.get(key)
    with at_key(f"{row.name}: `{key}`"):
        text = text_of(value)
    if not text.strip():
        raise UnusableRowError(
            f"{row.name}: expected {named(row, key)} with a text, found {found_in(row, key)}{columns_of(row, key)}",
            why=f"without `{key}`",
        )
    return text


def _answer(task: MultipleChoiceTask, row: Row, offered: Choices) -> int:
    value, base = row.values.get("answer"), task.answer_base or 0
    choices, labels = offered.texts, offered.labels
    right = right_choice(value, choices, labels, task.answer_base)
    if right is not None:
        return right
    if labels is not None:
        expected = f"one of the labels {', '.join(labels)}"
    else:
        letters = ascii_uppercase[min(len(choices), 26) - 1]
        expected = (
            f"an index from {base} to {len(choices) - 1 + base}, a letter from A to {letters} or one of the choices"
        )
    advice = ""
    if labels is None and task.answer_base is None and index_in(value, 1) == len(choices) - 1:
        advice = "; if the first choice is 1, write `answer_base: 1`"
    missing = is_missing(value) or (isinstance(value, str) and not value.strip())
    raise UnusableRowError(
        f"{row.name}: expected {named(row, 'answer')}, {expected}, found {found_in(row, 'answer')}{advice}"
        f"{columns_of(row, 'answer')}",
        why="without `answer`" if missing else "with an `answer` that is none of the choices",
    )
