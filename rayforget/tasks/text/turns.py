"""A split's documents -> the turns that a chat template writes of them; a row that it refuses cannot be used."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from rayforget.errors import TaskError
from rayforget.heartbeat import beat
from rayforget.tasks.keys import at_key
from rayforget.tasks.text.chat import Chat, Turn
from rayforget.tasks.text.conversations import conversation_of, user_turn
from rayforget.tasks.text.documents import Document
from rayforget.tasks.text.resolved import TextSplit
from rayforget.values.skipped import Skipped, counted

logger = logging.getLogger(__name__)

REFUSED = "that the chat template refuses"
"""Why a row cannot be used."""
_BEAT = 500
"""Documents between two signs of life."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken(Generic[T]):
    """What a template takes of a split."""

    documents: tuple[Document, ...]
    """Without those of rows of which it refuses a turn; at least one."""
    written: tuple[T, ...]
    """What it writes of each."""
    broken: Skipped
    """All rows of the split that cannot be used."""


def right_turns(chat: Chat, split: TextSplit) -> Taken[Turn]:
    """The turn of each document: of a conversation, or of a single question with its right answer.

    Raises:
        TaskError: the template refuses (see `Chat.turn`) more rows than `max_broken` allows, or all; the message starts
            with a document's name.
    """
    return _taken(chat, split, lambda document: _turns(chat, document, [document.answer])[0])


def written_out(chat: Chat, split: TextSplit) -> Taken[Document]:
    """The documents as scoring asks for them: the template's text before the answer, and each choice as its turn.

    Raises:
        TaskError: see `right_turns`; or the template writes other texts before other choices.
    """
    return _taken(chat, split, lambda document: _written_out(chat, document))


def _taken(chat: Chat, split: TextSplit, write: Callable[[Document], T]) -> Taken[T]:
    """Writes every document, and of a split's spare ones as many as it takes to have one."""
    found: list[tuple[Document, T]] = []
    refused: dict[str, TaskError] = {}

    def kept() -> list[tuple[Document, T]]:
        return [each for each in found if each[0].row not in refused]

    def try_one(document: Document) -> None:
        try:
            found.append((document, write(document)))
        except TaskError as error:
            refused.setdefault(document.row, error)
            if sum(map(len, split.broken.values())) + len(refused) > split.max_broken:
                raise _too_many(split, refused) from None

    for index, document in enumerate(split.documents):
        if index % _BEAT == 0:
            beat("write conversations", index, len(split.documents))
        try_one(document)
    for document in split.spare:
        if kept():
            break
        try_one(document)
    if not kept():
        raise _too_many(split, refused)
    if refused:
        rows = counted({REFUSED: list(refused)})
        logger.warning("%s: rows skipped: %s: %s", split.key, rows, next(iter(refused.values())))
    return Taken(
        documents=tuple(document for document, _ in kept()),
        written=tuple(written for _, written in kept()),
        broken={**split.broken, REFUSED: list(refused)} if refused else split.broken,
    )


def _too_many(split: TextSplit, refused: dict[str, TaskError]) -> TaskError:
    first = next(iter(refused.values()))
    if split.max_broken == 0:
        return first
    allowed = f"max_broken allows {split.max_broken}, and one at least must be used"
    return TaskError(f"{first}; {allowed}: {counted({**split.broken, REFUSED: list(refused)})}")


def _written_out(chat: Chat, document: Document) -> Document:
    turns = _turns(chat, document, document.values["choices"])
    if len({turn.prompt for turn in turns}) > 1:
        raise TaskError(f"{document.name}: the chat template's text before the answer depends on the answer")
    values = {
        "prompt": turns[0].prompt,
        "choices": [turn.scored for turn in turns],
        "answer": document.values["answer"],
    }
    return replace(document, values=values)


def _turns(chat: Chat, document: Document, answers: Sequence[str]) -> list[Turn]:
    with at_key(document.name):
        if "conversation" in document.values:
            return [chat.turn(*conversation_of(document.values))]
        return [chat.turn(list(user_turn(document.prompt, answer))) for answer in answers]
