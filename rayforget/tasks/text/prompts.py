"""A template and a row -> the text before the answer."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

_FIELD = re.compile(r"\{(\w+)\}")


def fields_of(template: str) -> set[str]:
    """The fields that a template names."""
    return set(_FIELD.findall(template))


def render(template: str, values: Mapping[str, Any]) -> str:
    """Fills the template's {fields} in; a line that names a field which the row lacks is left out.

    A field is lacking where the row has no such column, or nothing in it but blanks. Spaces at the end are cut off:
    the answer brings the one space before it along.
    """
    texts = {name: text_of(values.get(name)) for name in fields_of(template)}
    lines = [line for line in template.split("\n") if all(texts[name].strip() for name in fields_of(line))]
    # One pass over the lines, so that braces inside a value are text.
    return _FIELD.sub(lambda found: texts[found.group(1)], "\n".join(lines)).rstrip(" ")


def text_of(value: Any) -> str:
    """A value as it stands in a prompt: a list's texts one below the other, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        return "\n".join(text_of(each) for each in value)
    return str(value)
