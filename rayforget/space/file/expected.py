"""One of pydantic's errors -> what was found and what to write instead."""

import json
from typing import Any

from pydantic_core import ErrorDetails

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text, in quotes if it looks like something else",
    "path_type": "a path",
    "tuple_type": "a list, as [a, b]",
    "dict_type": "a mapping of keys",
    "model_type": "a mapping of keys",
    "model_attributes_type": "a mapping of keys",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number of at most {le:.12g}",
    "too_short": "a list or mapping with {min_length} or more items",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "a name of lower-case letters, digits, _ and - that begins with a letter or a digit",
}


def shown(value: Any) -> str:
    """The value as the file has it, cut where it is long."""
    if value is None:
        return "nothing"
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def found_and_expected(details: ErrorDetails) -> str:
    """`found 1.5; write a number of at most 1`."""
    kind, context = details["type"], details.get("ctx", {})
    if kind == "literal_error":
        expected = f"{'one of ' if ' or ' in context['expected'] else ''}{context['expected']}"
    else:
        expected = _EXPECTED[kind].format_map(context) if kind in _EXPECTED else details["msg"]
    return f"found {shown(details['input'])}; write {expected}"
