"""A tokenizer -> the marks that it puts before a text; those that it puts behind one are never taken."""

from collections.abc import Iterator
from typing import Any

from rayforget.errors import TaskError

_PROBE = "a"
_MOST_PROBES = 1000
"""Tokens of the vocabulary that are tried where the tokenizer makes nothing of `_PROBE`, or a special token."""


def marks_before(tokenizer: Any) -> list[int]:
    """Token ids that the tokenizer adds before a text: a beginning mark, or none.

    What it adds behind a text (an end mark, with `add_eos_token`) would stand between a prompt and its answer; what
    ends an answer is added where an answer ends.

    Raises:
        TaskError: with its marks the tokenizer gives a text other tokens of its own.
    """
    probe, bare = next(_plain_texts(tokenizer), (_PROBE, _ids(tokenizer, _PROBE, marks=False)))
    whole = _ids(tokenizer, probe, marks=True)
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return whole[:start]
    raise TaskError(
        f"the tokenizer makes {bare} of {probe!r}, and {whole} with its marks; expected the same tokens between them: "
        "correct post_processor in tokenizer.json"
    )


def _plain_texts(tokenizer: Any) -> Iterator[tuple[str, list[int]]]:
    """Texts that have tokens, none of them special, with these: else a mark could not be told from the text's own."""
    special = set(tokenizer.all_special_ids)
    for text in _probes(tokenizer, special):
        ids = _ids(tokenizer, text, marks=False)
        if ids and not special.intersection(ids):
            yield text, ids


def _probes(tokenizer: Any, special: set[int]) -> Iterator[str]:
    yield _PROBE
    for token in range(min(len(tokenizer), _MOST_PROBES)):
        if token not in special:
            yield tokenizer.decode([token])


def _ids(tokenizer: Any, text: str, *, marks: bool) -> list[int]:
    return list(tokenizer(text, add_special_tokens=marks, verbose=False)["input_ids"])
