"""The lines of a CSV -> its records, as far as the quotes say without doubt where they end.

The csv module and pandas read `"a" ,x` and `"a "b" c",x` alike, and of the second they lose quotes without a word;
`strict=True` refuses both, and with them the file. The first has only one meaning: the blank belongs to the text. The
second is a row that cannot be used.
"""

import csv
import re
from collections.abc import Iterator
from typing import NamedTuple

_TEXT = re.compile(r'[^"]*+(?:""[^"]*+)*+')
"""A quoted text up to its closing quote, or to the end of the line."""
_MISPLACED = "expected after"
"""What the csv module says of text behind a closing quote."""


class Record(NamedTuple):
    """One record."""

    number: int
    """Of its last line."""
    cells: list[str] | None
    """None if a quoted text has a quote that is not written twice."""


def records(lines: Iterator[str], divider: str) -> Iterator[Record]:
    """The records of a table whose cells `divider` divides.

    Raises:
        csv.Error: a quote is never closed, or stands where none can and nothing tells where the record ends; the
            arguments are the number of the record's first line, and what is wrong.
    """
    taken: list[str] = []
    reader = csv.reader(_noted(_moved(lines, divider), taken), delimiter=divider, strict=True)
    while True:
        taken.clear()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if _MISPLACED not in str(error) or len(taken) > 1 or not _ends_here(taken[0], divider):
                raise csv.Error(reader.line_num - len(taken) + 1, str(error)) from None
            yield Record(reader.line_num, None)
        else:
            yield Record(reader.line_num, cells)


def _ends_here(line: str, divider: str) -> bool:
    """Whether as many texts are closed before a divider or the line's end as are opened behind a divider or its
    beginning, so that none goes on in the next line."""
    opened = re.findall(rf'(?:^|{divider})\s*"', line)
    closed = re.findall(rf'"\s*(?={divider}|$)', line)
    return len(opened) == len(closed)


def _noted(lines: Iterator[str], taken: list[str]) -> Iterator[str]:
    for line in lines:
        taken.append(line)
        yield line


def _moved(lines: Iterator[str], divider: str) -> Iterator[str]:
    """The lines with the blanks behind a closing quote put before it."""
    blanks = re.compile(rf"[ \t]*+(?=[{divider}\r\n]|$)" if divider != "\t" else r" *+(?=[\t\r\n]|$)")
    inside = False
    for line in lines:
        if '"' not in line:
            yield line
            continue
        done: list[str] = []
        at = 0
        while at < len(line):
            if not inside and line[at] != '"':  # a cell without quotes
                end = line.find(divider, at) + 1 or len(line)
                done.append(line[at:end])
                at = end
                continue
            start = at if inside else at + 1
            closing = _end(line, start)
            done.append(line[at:closing])
            inside = closing == len(line)
            if inside:
                break
            found = blanks.match(line, closing + 1)
            behind = found.group() if found else ""
            at = closing + 1 + len(behind)
            done += [behind, '"']
            if line[at : at + 1] != divider:  # the record's end, or a quote where none can stand
                done.append(line[at:])
                break
            done.append(divider)
            at += 1
        yield "".join(done)


def _end(line: str, start: int) -> int:
    found = _TEXT.match(line, start)
    assert found is not None  # it matches nothing too
    return found.end()
