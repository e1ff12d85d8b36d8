"""A template and a row -> the text before the answer."""

import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rayforget.tasks.keys import at_key
from rayforget.tasks.text.unusable import UnusableRowError

_HALF = re.compile("[\ud800-\udfff]")
_FIELD = re.compile(r"\{(\w+)\}")


def fields_of(template: str) -> set[str]:
    """The names of a template's fields."""
    return set(_FIELD.findall(template))


def render(template: str, values: Mapping[str, Any]) -> str:
    """Fills in the template's {fields}, leaving out every line with a field that the row lacks.

    A row lacks a field if it has no such column, or one that is blank, null or NaN. Trailing spaces are cut off, since
    the delimiter brings the one space before the answer.

    Raises:
        TaskError: a field is neither text nor a number; the message starts with its name.
    """
    texts = {name: _field(name, values) for name in fields_of(template)}
    lines = [line for line in template.split("\n") if all(texts[name].strip() for name in fields_of(line))]
    # One pass over the lines, so that braces inside a value stay text.
    return _FIELD.sub(lambda found: texts[found.group(1)], "\n".join(lines)).rstrip(" ")


def text_of(value: Any) -> str:
    """A value as it appears in a prompt: a list's texts one per line, nothing for null and NaN.

    Raises:
        TaskError: it is neither text nor a number, nor a list of these.
    """
    if is_missing(value):
        return ""
    if isinstance(value, str):
        if not value.isascii() and _HALF.search(value):
            text = f"expected text, found half a character (a lone surrogate): {value[:60]!a}; mend it"
            raise UnusableRowError(text, why="with half a character")
        return value
    if isinstance(value, list | tuple):
        return "\n".join(text_of(each) for each in value)
    if _is_number(value):
        return str(value)
    text = f"expected text or a number, found {shortened(value)}{_advice(value)}"
    raise UnusableRowError(text, why="with a value that is neither text nor a number")


def is_missing(value: Any) -> bool:
    """Whether it is null or NaN, as tables write a cell without a value."""
    return value is None or (
        value.is_nan() if isinstance(value, Decimal) else isinstance(value, float) and math.isnan(value)
    )


def unpacked(value: Any) -> Any:
    """A list that a table holds as JSON text."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def shortened(value: Any) -> str:
    """A value for messages."""
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Decimal):
        return value.is_finite()
    return isinstance(value, int) and not isinstance(value, bool)


def _field(name: str, values: Mapping[str, Any]) -> str:
    with at_key(f"`{name}`"):
        return text_of(values.get(name))


def _advice(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"; name one of its parts under `fields:`, e.g. COLUMN.{next(iter(value), 'PART')}"
    return "; write it as text"
