"""Golden texts: what rayforget says, kept case by case in files that people read, and compared whole.

`REMAKE=1 uv run pytest TEST` writes what is said now; read the difference before it is committed.
"""

import os
import re
from collections.abc import Mapping
from difflib import ndiff
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "messages"
_CASE = "== "


def path_of(family: str) -> Path:
    return FOLDER / f"{family}.txt"


def read(family: str) -> dict[str, list[str]]:
    """Lines of every case, by its heading; what comes before the first heading is for readers alone."""
    cases: dict[str, list[str]] = {}
    text = path_of(family).read_text(encoding="utf-8") if path_of(family).is_file() else ""
    for line in text[len(_head(text)) :].splitlines():
        if line.startswith(_CASE):
            heading = line.removeprefix(_CASE)
            assert heading not in cases, f"{path_of(family)} has two cases named {heading!r}"
            cases[heading] = []
        elif line:
            cases[heading].append(line)
    return cases


def compare(family: str, said: Mapping[str, list[str]]) -> None:
    """Fails unless the family's file has these cases with these lines, and no other."""
    path, kept = path_of(family), read(family)
    if os.environ.get("REMAKE") == "1":
        head = _head(path.read_text(encoding="utf-8")) if path.is_file() else ""
        blocks = ["\n".join([_CASE + heading, *lines]) + "\n" for heading, lines in said.items()]
        path.write_text(head + "\n".join(blocks), encoding="utf-8")
        return
    changed = []
    for heading in dict.fromkeys([*kept, *said]):
        if heading not in said:
            changed.append(f"{_CASE}{heading}\n  is in the file and is no case of the test")
        elif heading not in kept:
            changed.append("\n".join([f"{_CASE}{heading}\n  is not in the file", *said[heading]]))
        elif kept[heading] != said[heading]:
            changed.append("\n".join([_CASE + heading, *map(str.rstrip, ndiff(kept[heading], said[heading]))]))
    if changed:
        how = f"{path}: {len(changed)} of {len(said)} cases (- kept, + said now); where that is meant, use REMAKE=1"
        pytest.fail("\n\n".join([how, *changed]), pytrace=False)


def _head(text: str) -> str:
    first = re.search(f"^{_CASE}", text, re.MULTILINE)
    return text[: first.start()] if first else text
