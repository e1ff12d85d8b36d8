"""Every architecture of transformers does what docs/architectures.md says, one test each; REMAKE=1 writes the page."""

import os
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "architectures.md"
_HEAD = "| architecture |"


def _lines() -> tuple[str, dict[str, str]]:
    """The page down to the table's head, and the table's rows by architecture."""
    text = PAGE.read_text(encoding="utf-8")
    head, _, table = text.partition(_HEAD)
    first, ruler, *rows = table.splitlines()
    return f"{head}{_HEAD}{first}\n{ruler}\n", {row.split(" | ")[0].removeprefix("| "): row for row in rows}


def _write(rows: dict[str, str]) -> None:
    head, _ = _lines()
    PAGE.write_text(head + "".join(f"{rows[name]}\n" for name in sorted(rows)), encoding="utf-8")


def _known() -> list[str]:
    """The page's; when it is made anew, all that there are."""
    if os.environ.get("REMAKE") == "1":
        from tiny_architectures import architectures

        return list(architectures())
    return list(_lines()[1])


@pytest.mark.slow
@pytest.mark.parametrize("architecture", _known())
def test_an_architecture_does_what_the_page_says(tmp_path: Path, architecture: str) -> None:
    from architecture_matrix import line_of, row_of

    line, (_, rows) = line_of(row_of(architecture, tmp_path)), _lines()
    if os.environ.get("REMAKE") == "1":
        _write({**rows, architecture: line})
    else:
        assert line == rows[architecture]


@pytest.mark.slow
def test_the_page_has_every_architecture_of_transformers_and_no_other() -> None:
    from tiny_architectures import architectures

    head, rows = _lines()
    if os.environ.get("REMAKE") == "1":
        _write({name: rows[name] for name in architectures()})
    assert set(rows) == set(architectures()), head
