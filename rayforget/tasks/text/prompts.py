"""A template and a row -> the text before the answer."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

_FIELD = re.compile(r"\{(\w+)\}")


def fields_of(template: str) -> set[str]:
    """The names of a template's fields."""
    return set(_FIELD.findall(template))


def render(template: str, values: Mapping[str, Any]) -> str:
    """Fills in the template's {fields}, leaving out every line with a field that the row lacks.

    A row lacks a field if it has no such column, or one that is blank. Trailing spaces are cut off, since the answer
    brings the one space before it.
    """
    texts = {name: text_of(values.get(name)) for name in fields_of(template)}
    lines = [line for line in template.split("\n") if all(texts[name].strip() for name in fields_of(line))]
    # One pass over the lines, so that braces inside a value stay text.
    return _FIELD.sub(lambda found: texts[found.group(1)], "\n".join(lines)).rstrip(" ")


def text_of(value: Any) -> str:
    """A value as it appears in a prompt: a list's texts one per line, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return "\n".join(text_of(each) for each in value)
    return str(value)
