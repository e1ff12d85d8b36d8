"""A path's name and parameters <-> its short text in records, tables and MLflow: `lines(gamma=0.5)`."""

import json
from collections.abc import Mapping
from typing import Any

from rayforget.errors import RecordError

LERP = "lerp"
"""The straight line between theta_0 and theta_1, which every curve has and which a record without a path means."""


def path_text(name: str, parameters: Mapping[str, Any]) -> str:
    """`lerp`, `lines(gamma=0.5)`, `blocks(leads=[0,0.5,1])`: parameters by name, values as JSON, 1.0 as 1.

    Equal parameters give equal texts, and `parse_path` gives them back to the bit.
    """
    if not parameters:
        return name
    written = (f"{key}={json.dumps(_plain(parameters[key]), separators=(',', ':'))}" for key in sorted(parameters))
    return f"{name}({', '.join(written)})"


def parse_path(text: str) -> tuple[str, dict[str, Any]]:
    """The inverse: name and parameters.

    Raises:
        RecordError: the text is not a path's.
    """
    name, bracket, rest = text.partition("(")
    parameters: dict[str, Any] = {}
    try:
        while bracket and rest != ")":
            key, _, rest = rest.removeprefix(", ").partition("=")
            parameters[key], end = json.JSONDecoder().raw_decode(rest)
            rest = rest[end:]
    except ValueError:
        name = ""
    if not name or path_text(name, parameters) != text:
        raise RecordError(f"{text!r} names no path; expected NAME or NAME(parameter=value, ...), as lines(gamma=0.5)")
    return name, parameters


def path_name(text: str) -> str:
    """Only the name: `lines`."""
    return text.partition("(")[0]


def _plain(value: Any) -> Any:
    """Whole floats as whole numbers, tuples as lists."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
