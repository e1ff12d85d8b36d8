"""Braces in the pattern of files: `val-{000..012}.tar`, `{train,val}.tar`."""

import itertools
import math
import re
from collections.abc import Iterator

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"([0-9]{1,18})\.\.([0-9]{1,18})")


def expand_braces(pattern: str) -> Iterator[str]:
    """Every combination of the braces' alternatives, the last brace varying fastest; ranges keep leading zeros."""
    pieces = _BRACES.split(pattern)
    choices = [[piece] if position % 2 == 0 else _alternatives(piece) for position, piece in enumerate(pieces)]
    for combination in itertools.product(*choices):
        yield "".join(combination)


def num_expansions(pattern: str) -> int:
    """How many texts `expand_braces` gives."""
    return math.prod(map(_num_alternatives, _BRACES.split(pattern)[1::2]))


def _alternatives(inside: str) -> list[str]:
    """`000..012` -> 13 numbers of three digits; `a,b` -> two words; `a` -> `{a}`, which is no brace expression."""
    bounds = _RANGE.fullmatch(inside)
    if bounds is None:
        return inside.split(",") if "," in inside else ["{" + inside + "}"]
    first, last = bounds.groups()
    width = max(len(first), len(last)) if first.startswith("0") or last.startswith("0") else 0
    step = 1 if int(first) <= int(last) else -1
    return [str(number).zfill(width) for number in range(int(first), int(last) + step, step)]


def _num_alternatives(inside: str) -> int:
    """How many texts `_alternatives` gives."""
    bounds = _RANGE.fullmatch(inside)
    return inside.count(",") + 1 if bounds is None else abs(int(bounds[2]) - int(bounds[1])) + 1
