"""A row -> the choices that it offers: a list, an object with a label for each, or the cells of several columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rayforget.tasks.keys import at_key
from rayforget.tasks.text.prompts import is_missing, text_of, unpacked
from rayforget.tasks.text.row_words import columns_of, found_in, named
from rayforget.tasks.text.rows import Row
from rayforget.tasks.text.unusable import UnusableRowError


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What may be answered."""

    texts: tuple[str, ...]
    """At least two; none is empty."""
    labels: tuple[str, ...] | None
    """Their own names, each once; None if they have none."""


def choices_of(row: Row) -> Choices:
    """The row's choices.

    Of several columns the last ones may be missing, as where some questions have four choices and some five; so may
    any of an object's, e.g. {A: yes, B: no}, whose keys are the labels.

    Raises:
        UnusableRowError: there are fewer than two, or an empty one, or labels that do not fit them.
    """
    value = unpacked(row.values.get("choices"))
    keys = None
    if isinstance(value, Mapping) and not any(isinstance(each, list | tuple | Mapping) for each in value.values()):
        keys = [str(key) for key, each in value.items() if not is_missing(each)]
        value = [each for each in value.values() if not is_missing(each)]
    given = list(value) if isinstance(value, list | tuple) else []
    columns = row.columns.get("choices")
    while isinstance(columns, tuple) and given and is_missing(given[-1]):
        given.pop()
    with at_key(f"{row.name}: `choices`"):
        texts = [text_of(each) for each in given]
    if len(texts) < 2:
        text = f"expected {named(row, 'choices')}, a list of at least two texts, found {found_in(row, 'choices')}"
        raise UnusableRowError(f"{row.name}: {text}{columns_of(row, 'choices')}", why="without two `choices`")
    for index, text in enumerate(texts):
        if not text.strip():
            at = f"in column {columns[index]!r}" if isinstance(columns, tuple) else f"at {index}"
            raise UnusableRowError(
                f"{row.name}: expected a text in each of {named(row, 'choices')}, found none {at}; fill it, or skip "
                "such rows by max_broken",
                why="with an empty choice",
            )
    return Choices(texts=tuple(texts), labels=_labels(row, len(texts), keys))


def _labels(row: Row, number: int, keys: list[str] | None) -> tuple[str, ...] | None:
    value: Any = unpacked(row.values.get("choice_labels"))
    if not isinstance(value, list | tuple):
        return None if keys is None else tuple(keys)
    with at_key(f"{row.name}: `choice_labels`"):
        labels = tuple(text_of(each) for each in value)
    if len(labels) != number or len(set(labels)) < number:
        raise UnusableRowError(
            f"{row.name}: expected {named(row, 'choice_labels')}, one of its own for each of {number} choices, "
            f"found {list(labels)}",
            why="without a label for each choice",
        )
    return labels
