"""A file of rows as text (JSON lines, a JSON list, CSV; also compressed) -> its rows, each with its place."""

import csv
import gzip
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import IO, Any

from rayforget.errors import TaskError
from rayforget.lfs import is_pointer, told
from rayforget.tasks.text.csv_quotes import records
from rayforget.tasks.text.unusable import UNREADABLE

MOST_OF_A_LINE = 10_000_000
"""Characters of one object on a line."""
MOST_OF_A_LIST = 2_000_000_000
"""Characters of a file with one list."""
MOST_EMPTY_LINES = 1_000_000
"""Lines without anything; a compressed file of a megabyte can hold a thousand times as many."""
MOST_NESTED = 100
"""Lists and objects inside each other; Python's own limit depends on where it is met."""


_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One object of a file."""

    values: dict[str, Any]
    """Empty if it cannot be read."""
    name: str
    """FILE:LINE, or FILE #INDEX in a list."""
    fault: str | None = None
    """Why it cannot be read."""
    why: str = UNREADABLE
    """The same, of all rows of its kind (see `UnusableRowError`)."""


def json_rows(path: Path) -> Iterator[Line]:
    """The objects of a file with one per line, or with one list; ignores empty lines and a leading byte order mark."""
    with _opened(path, "a file of JSON lines") as file:
        is_first, empty = True, 0
        for number, line in enumerate(_lines(file), start=1):
            if is_first and line.lstrip().startswith("[") and _is_list(line):
                text = "\n" * (number - 1) + line + file.read(MOST_OF_A_LIST)
                if len(text) >= MOST_OF_A_LIST:
                    raise TaskError(
                        f"{path}: expected a list of at most {MOST_OF_A_LIST} characters, which is read whole; "
                        "write one object per line"
                    )
                yield from _listed(text, path)
                return
            if is_first and line.strip() == "{":
                raise TaskError(
                    f"{path}:{number}: found an object over several lines, expected one object per line, or one list "
                    "of them; write the list alone, or each object on a line"
                )
            if line.strip():
                is_first = False
                yield _object(line, f"{path}:{number}")
            else:
                empty = _one_more_empty(empty, path)


def csv_rows(path: Path) -> Iterator[Line]:
    """The rows of a table; a cell without text is None.

    Passed over are lines without any text, and columns without a name, such as pandas' index. Semicolons divide cells
    where the first line has them and no commas.
    """
    csv.field_size_limit(MOST_OF_A_LINE)
    with _opened(path, "a file of comma-separated values", newline="") as file:
        lines = _lines(file)
        first = next(lines, "")
        divider = "\t" if ".tsv" in path.suffixes else ";" if ";" in first and "," not in first else ","
        try:
            table = records(chain([first], lines), divider)
            header = next((record.cells for record in table), None) or []
            named = [name for name in header if name]
            if len(set(named)) < len(named) or not named:
                raise TaskError(f"{path}:1: expected a line of column names, each once, found {_short(str(header))}")
            empty = 0
            for number, cells in table:
                if cells is not None and not any(cells):
                    empty = _one_more_empty(empty, path)
                    continue
                yield _table_row(f"{path}:{number}", header, cells, divider)
        except csv.Error as error:
            line, why = error.args
            text = f"{path}:{line}: cannot be read ({why}); expected a table, each quote in a quoted text twice"
            raise TaskError(text) from error


def _table_row(name: str, header: list[str], cells: list[str] | None, divider: str) -> Line:
    if cells is None:
        fault = f"{name}: found a quote within a quoted text, expected each one there twice"
        return Line(values={}, name=name, fault=fault, why="with a quote within a quoted text")
    if len(cells) != len(header):
        fault = f"{name}: expected {len(header)} cells, found {len(cells)}; put quotes around texts with "
        fault += {",": "commas", ";": "semicolons", "\t": "tabs"}[divider]
        return Line(values={}, name=name, fault=fault, why=f"without {len(header)} cells")
    return Line(values={column: cell or None for column, cell in zip(header, cells, strict=True) if column}, name=name)


def _one_more_empty(before: int, path: Path) -> int:
    if before >= MOST_EMPTY_LINES:
        raise TaskError(f"{path}: expected at most {MOST_EMPTY_LINES} empty lines, found more; take them out")
    return before + 1


def _lines(file: IO[str]) -> Iterator[str]:
    """The file's lines; of one that is too long only the beginning, one character more than may be."""
    while line := file.readline(MOST_OF_A_LINE + 1):
        yield line
        if line.lstrip().startswith("["):
            continue  # a list may be on a single line: its reader takes the rest
        while len(line) > MOST_OF_A_LINE and not line.endswith("\n"):
            line = file.readline(MOST_OF_A_LINE + 1)


@contextmanager
def _opened(path: Path, expected: str, newline: str | None = None) -> Iterator[IO[str]]:
    if is_pointer(path):
        raise TaskError(told(path, "the rows"))
    try:
        with _bytes_of(path) as raw, TextIOWrapper(raw, encoding="utf-8-sig", newline=newline) as file:
            yield file
    except UnicodeDecodeError as error:
        raise TaskError(f"{path}: expected UTF-8, found other bytes ({error}); save it as UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise TaskError(f"{path}: cannot be read ({why}); expected {expected}") from error


def _bytes_of(path: Path) -> Any:
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError("it is no regular file")  # a pipe or a device may never end
    if path.suffix == ".gz":
        return gzip.open(path)
    if path.suffix == ".zst":
        import pyarrow

        return pyarrow.input_stream(str(path), compression="zstd")
    return path.open("rb")


def _is_list(line: str) -> bool:
    """Whether the file's first line opens a list of objects: a line that is itself a list is a mistake of its own."""
    try:
        whole = json.loads(line)
    except (ValueError, RecursionError):
        return line.strip() == "[" or line.lstrip()[1:].lstrip()[:1] == "{"
    return bool(whole) and all(isinstance(each, dict) for each in whole)


def _listed(text: str, path: Path) -> Iterator[Line]:
    if too_deep(text):
        raise TaskError(f"{path}: expected values nested at most {MOST_NESTED} deep, found deeper")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise TaskError(f"{path}{where}: expected a list of JSON objects ({error})") from None
    for index, each in enumerate(values):
        name = f"{path} #{index}"
        if isinstance(each, dict):
            yield Line(values=each, name=name)
        else:
            yield Line(values={}, name=name, fault=f"{name}: expected a JSON object, found {_short(json.dumps(each))}")


def _object(line: str, where: str) -> Line:
    if len(line) > MOST_OF_A_LINE:
        fault = f"{where}: expected a line of at most {MOST_OF_A_LINE} characters, found more: {_short(line)}"
        return Line(values={}, name=where, fault=fault)
    if too_deep(line):
        fault = f"{where}: expected values nested at most {MOST_NESTED} deep, found deeper: {_short(line)}"
        return Line(values={}, name=where, fault=fault)
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:  # a number with too many digits, too deep a nesting
        why = error.msg if isinstance(error, json.JSONDecodeError) else error
        fault = f"{where}: expected one JSON object on this line, found {_short(line)} ({why})"
        return Line(values={}, name=where, fault=fault)
    if not isinstance(values, dict):
        return Line(values={}, name=where, fault=f"{where}: expected a JSON object, found {_short(line)}")
    return Line(values=values, name=where)


def too_deep(text: str) -> bool:
    """Whether JSON's brackets, outside its strings, are nested deeper than `MOST_NESTED`."""
    if text.count("[") + text.count("{") <= MOST_NESTED:
        return False
    depth = 0
    for match in _BRACKET.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match.group(), 0)
        if depth > MOST_NESTED:
            return True
    return False


def _short(text: str, length: int = 60) -> str:
    text = text.strip()
    return repr(text if len(text) <= length else f"{text[:length]}...")
