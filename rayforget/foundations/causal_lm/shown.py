"""A training sequence -> a line for people: its tokens, decoded one by one, with what is learnt marked."""

from collections.abc import Iterator, Sequence
from typing import Any

from rayforget.tasks.text.types import TrainingSet

_HEAD, _TAIL = 12, 12
"""Tokens shown at the beginning and at the end of a long part."""


def first_sequence(learnt: TrainingSet, tokenizer: Any) -> str:
    """The set's first sequence, e.g. `<s>|Is| it| odd|?|\\n|A|:| »no|</s>«`: bars between tokens, « » around what is
    learnt, the middle of long parts left out."""
    tokens = learnt.tokens[: int(learnt.starts[1])].tolist()
    first = int(learnt.first_targets[0])
    pieces = list(_pieces(tokens, tokenizer))
    return f"{_joined(pieces[:first])} »{_joined(pieces[first:])}«"


def _pieces(tokens: Sequence[int], tokenizer: Any) -> Iterator[str]:
    """Each token as it lengthens the text: decoded alone, many tokenizers drop the blank before a word."""
    for index, token in enumerate(tokens):
        before, whole = (_decoded(tokens[max(0, index - 4) : end], tokenizer) for end in (index, index + 1))
        piece = whole[len(before) :] if whole.startswith(before) else _decoded([token], tokenizer)
        yield piece.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")


def _decoded(tokens: Sequence[int], tokenizer: Any) -> str:
    text: str = tokenizer.decode(list(tokens), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text


def _joined(pieces: Sequence[str]) -> str:
    if len(pieces) <= _HEAD + _TAIL + 1:
        return "|".join(pieces)
    left_out = len(pieces) - _HEAD - _TAIL
    return "|".join([*pieces[:_HEAD], f"... {left_out} more ...", *pieces[-_TAIL:]])
