"""A row and a path such as `choices.text` -> the nested value."""

from collections.abc import Mapping
from typing import Any

ABSENT: Any = object()
"""The value at a path that a row does not have."""


def reach(values: Mapping[str, Any], path: str) -> Any:
    """The value at a path, or ABSENT.

    A column whose name is the whole path comes first. In a list of objects a part's name gives the list of the objects'
    parts, a number the one at this index.
    """
    if path in values:
        return values[path]
    found: Any = values
    for part in path.split("."):
        found = _part(found, part)
        if found is ABSENT:
            return ABSENT
    return found


def _part(value: Any, part: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(part, ABSENT)
    if not isinstance(value, list | tuple):
        return ABSENT
    if part.isdecimal():
        return value[int(part)] if int(part) < len(value) else ABSENT
    parts = [each.get(part, ABSENT) if isinstance(each, Mapping) else ABSENT for each in value]
    return ABSENT if not parts or any(each is ABSENT for each in parts) else parts
