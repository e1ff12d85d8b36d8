"""Golden texts: what rayforget says, kept case by case in files that people read, and compared whole.

A family is one file. Where one test has all of its cases, it compares them at once (`compare`); where each case has a
test of its own, that checks it alone (`check`), and `stale_cases` finds what is left over.
`REMAKE=1 uv run pytest TEST` writes what is said now; read the difference before it is committed.
"""

import ast
import os
import re
from collections.abc import Mapping, Sequence
from difflib import ndiff
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FOLDER = TESTS / "messages"
_CASE = "== "


def path_of(family: str) -> Path:
    return FOLDER / f"{family}.txt"


def texts(family: str) -> dict[str, str]:
    """The text of every case, by its heading; what comes before the first heading is for readers alone."""
    cases: dict[str, str] = {}
    text = path_of(family).read_text(encoding="utf-8") if path_of(family).is_file() else ""
    for block in re.split(f"^{_CASE}", text, flags=re.MULTILINE)[1:]:
        heading, _, body = block.partition("\n")
        assert heading not in cases, f"{path_of(family)} has two cases named {heading!r}"
        cases[heading] = body.strip("\n")
    return cases


def read(family: str) -> dict[str, list[str]]:
    """Lines of every case that are not empty, by its heading."""
    return {heading: [line for line in text.splitlines() if line] for heading, text in texts(family).items()}


def compare(family: str, said: Mapping[str, list[str]]) -> None:
    """Fails unless the family's file has these cases with these lines, and no other."""
    kept = read(family)
    if os.environ.get("REMAKE") == "1":
        _write(family, [[heading, *lines] for heading, lines in said.items()])
        return
    changed = []
    for heading in dict.fromkeys([*kept, *said]):
        if heading not in said:
            changed.append(f"{_CASE}{heading}\n  is in the file and is no case of the test")
        elif heading not in kept or kept[heading] != said[heading]:
            changed.append(_changed(heading, kept.get(heading), said[heading]))
    if changed:
        how = f"{len(changed)} of {len(said)} cases"
        pytest.fail("\n\n".join([_how(family, how), *changed]), pytrace=False)


def check(family: str, case: str, text: str, replace: Mapping[str, str] = {}) -> None:
    """Fails unless `text` is the text of this case; spaces at ends of lines and empty lines around it do not count.

    Args:
        family: the file.
        case: its heading: a literal in the test, so that `stale_cases` finds it.
        text: what was said.
        replace: what differs from run to run, as paths do -> what stands for it.
    """
    for old in sorted(replace, key=len, reverse=True):
        text = text.replace(old, replace[old])
    text = "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")
    assert not any(line.startswith(_CASE) for line in text.splitlines()), text
    kept = texts(family)
    if os.environ.get("REMAKE") == "1":
        if kept.get(case) != text:
            found = sorted({**kept, case: text}.items())
            _write(family, [[heading, "", *body.splitlines(), ""] for heading, body in found])
    elif kept.get(case) != text:
        old = kept[case].splitlines() if case in kept else None
        pytest.fail(f"{_how(family, '1 case')}\n\n{_changed(case, old, text.splitlines())}", pytrace=False)


def stale_cases(family: str) -> list[str]:
    """Cases whose heading is no string in any test, and fits no f-string that a test calls something with."""
    names, patterns = _strings()
    live = re.compile("|".join(sorted(patterns)))
    return [case for case in texts(family) if case not in names and not live.fullmatch(case)]


@cache
def _strings() -> tuple[set[str], set[str]]:
    names: set[str] = set()
    patterns: set[str] = set()
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                names.add(node.value)
            for argument in node.args if isinstance(node, ast.Call) else []:
                if isinstance(argument, ast.JoinedStr):
                    parts = [part.value if isinstance(part, ast.Constant) else None for part in argument.values]
                    if sum(len(part or "") for part in parts) >= 5:  # `{a}: {b}` would fit any
                        patterns.add("".join(".+" if part is None else re.escape(part) for part in parts))
    return names, patterns


def _how(family: str, count: str) -> str:
    return f"{path_of(family)}: {count} (- kept, + said now); where that is meant, use REMAKE=1"


def _changed(heading: str, kept: Sequence[str] | None, said: Sequence[str]) -> str:
    if kept is None:
        return "\n".join([f"{_CASE}{heading}\n  is not in the file", *said])
    return "\n".join([_CASE + heading, *map(str.rstrip, ndiff(kept, said))])


def _write(family: str, cases: Sequence[Sequence[str]]) -> None:
    """Writes cases, each a heading and its lines, below what stands before the first one."""
    path = path_of(family)
    head = re.split(f"^{_CASE}", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[0] if path.is_file() else ""
    blocks = ["\n".join([_CASE + heading, *lines]) + "\n" for heading, *lines in cases]
    path.write_text((head + "\n".join(blocks)).rstrip("\n") + "\n", encoding="utf-8")
