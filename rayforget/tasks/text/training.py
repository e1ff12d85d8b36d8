"""All tasks with a training split -> one set of token sequences, tokenised once per node."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import TaskError
from rayforget.space.tasks.text import Sequences
from rayforget.tasks.keys import at_key
from rayforget.tasks.text.chat import Chat, chat_of
from rayforget.tasks.text.delimiters import delimiter_of, identity_of
from rayforget.tasks.text.documents import Document, documents_hash
from rayforget.tasks.text.encode import TokenPair, encode_pairs, encode_texts, joined, tokenizer_identity
from rayforget.tasks.text.resolved import ResolvedText, TextSplit
from rayforget.tasks.text.token_files import Tokenised, tokenised
from rayforget.tasks.text.turns import right_turns
from rayforget.tasks.text.types import TrainingSet
from rayforget.values.skipped import Skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sequence:
    tokens: list[int]
    first_target: int


def training_set(
    tasks: Mapping[str, ResolvedText],
    tokenizer: Any,
    sequences: Sequences,
    *,
    max_length: int,
    eos: int | None,
    prefix_token: int,
    cache: Path,
) -> TrainingSet:
    """The documents of every task with `train`, in the space's order.

    A document is its prompt, its delimiter, its answer and the end mark, once, in the tokens that scoring asks for. It
    has a beginning mark, once, if the tokenizer puts one before a prompt or the prompt spells it. A turn of a
    conversation is the tokens that `apply_chat_template` gives, up to the turn's end mark. A plain text is
    learnt whole, in pieces of `max_length` that overlap by one token, so that each token except the very first is a
    target once.

    Args:
        tasks: the space's tasks.
        tokenizer: a tokenizer of transformers.
        sequences: what to do with long sequences, and which tokens to learn.
        max_length: longest sequence in tokens, at least 2.
        eos: the end mark; None for a model that has none.
        prefix_token: stands before an answer without a prompt, as in scoring.
        cache: a folder on this node.

    Raises:
        TaskError: no task has a training split, or no sequence is left.
    """
    learnt = {name: task.splits["train"] for name, task in tasks.items() if "train" in task.splits}
    if not learnt:
        raise TaskError("no task has `train:`; add it to a speciality task")
    chats = {name: _chat(tasks[name], tokenizer) for name in learnt}
    settings = [max_length, eos, prefix_token, sequences.too_long, sequences.loss_on]
    kinds = [
        [
            tasks[name].task.kind,
            documents_hash(split.documents),
            *identity_of(tasks[name].task),
            *([] if (chat := chats[name]) is None else [chat.identity, split.max_broken, split.broken]),
        ]
        for name, split in learnt.items()
    ]
    stored = tokenised(
        cache,
        ["training", tokenizer_identity(tokenizer), settings, kinds],
        lambda: _tokenise(tasks, learnt, chats, tokenizer, sequences, max_length, eos, prefix_token),
        what=", ".join(f"tasks.{name}.train" for name in learnt),
    )
    refused = stored.facts["broken"]
    return TrainingSet(
        tokens=stored.arrays["tokens"],
        starts=stored.arrays["starts"],
        first_targets=stored.arrays["first_targets"],
        facts=dict(stored.facts["counts"]),
        items_hash=stored.facts["items_hash"],
        broken={name: rows for name, split in learnt.items() if (rows := refused.get(name, split.broken))},
    )


def _tokenise(
    tasks: Mapping[str, ResolvedText],
    learnt: Mapping[str, TextSplit],
    chats: Mapping[str, Chat | None],
    tokenizer: Any,
    sequences: Sequences,
    max_length: int,
    eos: int | None,
    prefix_token: int,
) -> Tokenised:
    kept: list[_Sequence] = []
    counts = {"cut_sequences": 0, "dropped_sequences": 0}
    broken: dict[str, Skipped] = {}
    for name, split in learnt.items():
        if tasks[name].task.kind == "text":
            texts = [document.answer for document in split.documents]
            for text in encode_texts(tokenizer, texts, prefix_token=prefix_token):
                kept += [_Sequence(tokens=piece, first_target=1) for piece in pieces(ended(text, eos), max_length)]
            continue
        chat = chats[name]
        with at_key(split.key):
            if chat is None:
                pairs = _pairs(tokenizer, split, delimiter_of(tasks[name].task), prefix_token)
            else:
                pairs, broken[name] = _turns(tokenizer, split, chat, prefix_token)
        for prompt, answer in pairs:
            answered = answer if chat else ended(answer, eos)
            if len(prompt) + len(answered) > max_length:
                counts["cut_sequences" if sequences.too_long == "cut" else "dropped_sequences"] += 1
                if sequences.too_long == "drop":
                    continue
                prompt, answered = cut(prompt, answered, max_length)
            first = len(prompt) if sequences.loss_on == "answer" else 1
            kept.append(_Sequence(tokens=[*prompt, *answered], first_target=first))
    if not kept:
        raise TaskError(
            f"none of {sum(split.expected_count for split in learnt.values())} training sequences fits {max_length} "
            "tokens; raise foundation.sequences.length, or write too_long: cut"
        )
    tokens, starts = joined(sequence.tokens for sequence in kept)
    arrays: dict[str, NDArray[Any]] = {
        "tokens": tokens,
        "starts": starts,
        "first_targets": np.array([sequence.first_target for sequence in kept], dtype=np.int32),
    }
    digest = sha256()
    for name in sorted(arrays):
        digest.update(arrays[name].tobytes())
    return Tokenised(
        arrays=arrays, facts={"counts": counts, "items_hash": digest.hexdigest()[:32], "broken": dict(broken)}
    )


def _chat(task: ResolvedText, tokenizer: Any) -> Chat | None:
    with at_key(f"tasks.{task.name}"):
        return chat_of(task.task, tokenizer)


def _pairs(tokenizer: Any, split: TextSplit, delimiter: str, prefix_token: int) -> list[TokenPair]:
    """Tokens of what comes before each answer, and of the answer."""
    asked = [(document.prompt, f"{delimiter}{document.answer}") for document in split.documents]
    return _with_tokens(split.documents, encode_pairs(tokenizer, asked, prefix_token=prefix_token))


def _turns(tokenizer: Any, split: TextSplit, chat: Chat, prefix_token: int) -> tuple[list[TokenPair], Skipped]:
    """The same of turns, of which a template writes its own marks; and all rows that cannot be used."""
    taken = right_turns(chat, split)
    asked = [(turn.prompt, turn.learnt) for turn in taken.written]
    encoded = encode_pairs(tokenizer, asked, prefix_token=prefix_token, adds_marks=False, moves_blanks=False)
    return _with_tokens(taken.documents, encoded), taken.broken


def _with_tokens(documents: Sequence[Document], encoded: list[TokenPair]) -> list[TokenPair]:
    for document, (prompt, answer) in zip(documents, encoded, strict=True):
        if not prompt or not answer:
            raise TaskError(f"{document.name}: its prompt or its answer has no tokens; expected at least one of each")
    return encoded


def ended(tokens: list[int], eos: int | None) -> list[int]:
    """The tokens with the end mark behind them, unless the text itself ends with it."""
    return tokens if eos is None or tokens[-1:] == [eos] else [*tokens, eos]


def cut(prompt: list[int], answer: list[int], max_length: int) -> tuple[list[int], list[int]]:
    """Cuts the beginning of the prompt; if the answer alone is too long, cuts its end and keeps the prompt's last
    token."""
    answer = answer[: max_length - 1]
    return prompt[-min(len(prompt), max_length - len(answer)) :], answer


def pieces(tokens: list[int], max_length: int) -> Iterator[list[int]]:
    """Pieces of at most `max_length` tokens; each begins with the last token of the previous one."""
    for start in range(0, max(1, len(tokens) - 1), max_length - 1):
        piece = tokens[start : start + max_length]
        if len(piece) > 1:
            yield piece
