"""What rayforget says, kept as a person reads it: one text file for each family, one section for each case.

`REMAKE=1 uv run pytest TESTS` writes the sections of the tests that it runs; read what changed before you commit it.
"""

import ast
import difflib
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
MESSAGES = TESTS / "messages"
HEAD = "=== "
"""Begins the line of a section's name."""


def check(family: str, case: str, text: str, replace: Mapping[str, str] = {}) -> None:
    """Fails with a diff unless `text` is what section `case` of `messages/FAMILY.txt` holds.

    Spaces at the ends of lines and empty lines around the text do not count.

    Args:
        family: the file.
        case: the section's name: a literal in the test, so that `stale_sections` finds it.
        text: what was said.
        replace: what differs from run to run (paths, times, versions) -> what stands for it.
    """
    for old in sorted(replace, key=len, reverse=True):
        text = text.replace(old, replace[old])
    text = "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")
    assert not any(line.startswith(HEAD) for line in text.splitlines()), text
    kept = sections(family)
    if os.environ.get("REMAKE") == "1" and kept.get(case) != text:
        _write(family, {**kept, case: text})
    elif case not in kept:
        pytest.fail(f"{family}.txt has no section {case!r}; REMAKE=1 writes it:\n{text}", pytrace=False)
    elif kept[case] != text:
        lines = difflib.unified_diff(
            kept[case].splitlines(), text.splitlines(), f"{family}.txt: {case}", "said now", lineterm=""
        )
        pytest.fail("\n".join([*lines, "if that is meant: REMAKE=1 writes it"]), pytrace=False)


def sections(family: str) -> dict[str, str]:
    """Name -> text of a family's sections."""
    path = MESSAGES / f"{family}.txt"
    parts = re.split(rf"^{HEAD}(.+)\n", path.read_text(encoding="utf-8") if path.is_file() else "", flags=re.M)
    return {name: text.strip("\n") for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def _write(family: str, texts: Mapping[str, str]) -> None:
    MESSAGES.mkdir(exist_ok=True)
    whole = "\n\n\n".join(f"{HEAD}{name}\n\n{texts[name]}".rstrip() for name in sorted(texts))
    (MESSAGES / f"{family}.txt").write_text(f"{whole}\n", encoding="utf-8")


def stale_sections() -> list[str]:
    """Sections whose name is no string in any test, and fits no f-string that a test calls something with."""
    names, patterns = _names()
    live = re.compile("|".join(sorted(patterns)))
    return [
        f"{path.name}: {case}"
        for path in sorted(MESSAGES.glob("*.txt"))
        for case in sections(path.stem)
        if case not in names and not live.fullmatch(case)
    ]


@cache
def _names() -> tuple[set[str], set[str]]:
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
