"""A row's answer (a label, a choice, a letter, an index) -> the index of the right choice."""

import re
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

_LETTER = re.compile(r"\(?([A-Za-z])[).:]?")
_INTEGER = re.compile(r"[+-]?\d{1,9}(?:\.0+)?")


def index_in(value: Any, base: int) -> int | None:
    """The choice that an index means: a whole number, or the text of one; None if it is none."""
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value - base


def right_choice(value: Any, choices: Sequence[str], labels: Sequence[str] | None, base: int | None) -> int | None:
    """The index of the right choice; None if the answer names none of them.

    Args:
        value: the row's answer.
        choices: the row's choices.
        labels: the choices' own names, if the row has them: an answer is then one of them, and no index.
        base: the index of the first choice; digits are then an index, whatever choices there are. None reads digits as
            the choice of these digits, else as an index from 0.
    """
    if labels is not None:
        named = [label.strip() for label in labels]
        number = None if isinstance(value, str) else index_in(value, 0)
        text = str(value if number is None else number).strip()
        return named.index(text) if text in named else None
    if isinstance(value, str):
        stripped = [choice.strip() for choice in choices]
        if value.strip() in stripped and (base is None or index_in(value, base) is None):
            return stripped.index(value.strip())
        letter = _LETTER.fullmatch(value.strip())
        if letter is not None:
            return _within(ascii_uppercase.find(letter.group(1).upper()), choices)
    return _within(index_in(value, base or 0), choices)


def reads_as_index(value: Any, choices: Any) -> bool | None:
    """Whether an answer of digits can be an index alone (True), or a choice alone (False); None if it is either, or no
    digits."""
    index = index_in(value, 0)
    if not isinstance(value, str) or index is None or not isinstance(choices, list | tuple):
        return None
    is_choice = value.strip() in [str(choice).strip() for choice in choices]
    is_index = 0 <= index <= len(choices)
    return None if is_choice == is_index else is_index


def _within(index: int | None, choices: Sequence[str]) -> int | None:
    return index if index is not None and 0 <= index < len(choices) else None
