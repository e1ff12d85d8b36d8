"""A declared source of texts -> its rows as dictionaries, each with a name by which it can be found."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, assert_never

from rayforget.errors import TaskError
from rayforget.lfs import is_pointer, told
from rayforget.space.tasks.text import (
    CsvSource,
    JsonLinesSource,
    LanguageSource,
    ParquetSource,
    TextDatasetSource,
    TextSource,
)
from rayforget.tasks.hub_split import load_split, title
from rayforget.tasks.nearest import did_you_mean
from rayforget.tasks.text.reach import ABSENT, reach
from rayforget.tasks.text.text_files import csv_rows, json_rows
from rayforget.tasks.text.unusable import UNREADABLE

MOST_ROWS = 3_000_000
"""Rows of one source; each is held in memory."""
MOST_CHARACTERS = 4_000_000_000
"""Characters of all values of one source; a small compressed file can hold any number of them."""
_BATCH = 1024
"""Rows of a Parquet file read at a time: each may repeat a value that the file holds once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row, with its columns under our names."""

    values: Mapping[str, Any]
    name: str
    """FILE:LINE, FILE #INDEX or DATASET[SPLIT] #INDEX, for messages."""
    fault: str | None = None
    """Why it could not be read, starting with its name; `values` is then empty."""
    why: str = UNREADABLE
    """The same, of all rows of its kind (see `UnusableRowError`)."""
    columns: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    """Our name of a value -> the column or columns that it is from, where the space gives them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows of one source."""

    rows: tuple[Row, ...]
    """At least one."""
    revision: str | None = None
    """The commit of a hub data set; None for other sources."""


def read_rows(source: TextSource) -> Rows:
    """Reads a source, at most `limit` rows, in its own order.

    Raises:
        TaskError: the data is missing or has no rows. A row that is no object has a `fault`.
    """
    revision = None
    rows: Iterator[Row]
    match source:
        case JsonLinesSource() | CsvSource():
            lines = (json_rows if isinstance(source, JsonLinesSource) else csv_rows)(Path(source.path))
            rows = (Row(values=line.values, name=line.name, fault=line.fault, why=line.why) for line in lines)
        case ParquetSource():
            rows = parquet_rows(Path(source.path), at_most=None if source.limit is not None else MOST_ROWS)
        case TextDatasetSource():
            table, revision = load_split(source, files="Parquet or JSON lines files")
            rows = (Row(values=values, name=f"{title(source)} #{index}") for index, values in enumerate(table))
        case LanguageSource():
            return Rows(rows=tuple(_language_rows(source)))
        case _:
            assert_never(source)
    taken = tuple(_first(rows, source.limit))
    if not taken:
        raise TaskError(f"{source.path}: no rows; expected at least one")
    return Rows(rows=_renamed(taken, source.fields), revision=revision)


def json_lines(path: Path) -> Iterator[Row]:
    """The objects of a file of JSON lines or a JSON list.

    Raises:
        TaskError: a line is no object.
    """
    for line in json_rows(path):
        if line.fault is not None:
            raise TaskError(line.fault)
        yield Row(values=line.values, name=line.name)


def parquet_rows(path: Path, *, at_most: int | None = None) -> Iterator[Row]:
    """The rows of a Parquet file, or of a folder's *.parquet in the order of their names.

    Raises:
        TaskError: a file cannot be read, or says that it has more than `at_most` rows.
    """
    import pyarrow
    from pyarrow import parquet

    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise TaskError(f"{path}: expected *.parquet in this folder, found none")
    for file in files:
        if is_pointer(file):
            raise TaskError(told(file, "the rows"))
        try:
            table = parquet.ParquetFile(file)
            if at_most is not None and (count := table.metadata.num_rows) > at_most:
                raise TaskError(f"{file}: found {count} rows, expected at most {at_most}; set `limit`")
            index = 0
            for batch in table.iter_batches(_BATCH):
                for row in _batch_rows(batch, file, index):
                    yield row
                    index += 1
        except (OSError, pyarrow.ArrowException) as error:
            raise TaskError(f"{file}: cannot be read ({error}); expected a Parquet file") from error


def _batch_rows(batch: Any, file: Path, start: int) -> Iterator[Row]:
    """A batch's rows; one whose values Python cannot hold (text that is not UTF-8, a date of year 30000) has a
    fault."""
    try:
        values = None if "dictionary<" in str(batch.schema) else batch.to_pylist()  # its texts are copied for each row
    except (ValueError, OverflowError):
        values = None
    for place in range(batch.num_rows):
        name = f"{file} #{start + place}"
        try:
            yield Row(values=batch.slice(place, 1).to_pylist()[0] if values is None else values[place], name=name)
        except (ValueError, OverflowError) as error:
            yield Row(values={}, name=name, fault=f"{name}: cannot be read ({error}); mend or leave out this row")


def _language_rows(source: LanguageSource) -> Iterator[Row]:
    from rayforget.builtin.language.world import language_items

    items = language_items(source.part, split=source.split, count=source.count, seed=source.seed)
    for index, values in enumerate(items):
        yield Row(values=values, name=f"language {source.part}[{source.split}] #{index}")


def _first(rows: Iterator[Row], limit: int | None) -> Iterator[Row]:
    characters = 0
    for index, row in enumerate(rows):
        if limit is not None and index >= limit:
            return
        if index >= MOST_ROWS:
            raise TaskError(f"{row.name}: expected at most {MOST_ROWS} rows, which memory must hold; set `limit`")
        characters += _characters(row.values)
        if characters > MOST_CHARACTERS:
            raise TaskError(
                f"{row.name}: expected rows of at most {MOST_CHARACTERS} characters together, which memory must hold; "
                "set `limit`"
            )
        yield row


def _characters(value: Any) -> int:
    """Characters of all texts in a value."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_characters, value.values()))
    return sum(map(_characters, value)) if isinstance(value, list | tuple) else 0


def _renamed(rows: tuple[Row, ...], fields: Mapping[str, str | tuple[str, ...]]) -> tuple[Row, ...]:
    """The rows with our names added; a column that no row has is an error."""
    read = [row for row in rows if row.fault is None]
    columns = {ours: (asked,) if isinstance(asked, str) else asked for ours, asked in fields.items()}
    for ours, asked in columns.items() if read else ():
        for column in asked:
            if all(reach(row.values, column) is ABSENT for row in read):
                found = ", ".join(sorted(read[0].values)) or "none"
                meant = did_you_mean(column, read[0].values)
                raise TaskError(
                    f"{read[0].name}: no column {column!r}, which fields calls {ours}; found {found}{meant}"
                )
    if not fields:
        return rows
    taken = {column for asked in columns.values() for column in asked}
    return tuple(row if row.fault is not None else _under_our_names(row, fields, taken) for row in rows)


def _under_our_names(row: Row, fields: Mapping[str, str | tuple[str, ...]], taken: set[str]) -> Row:
    values = {column: value for column, value in row.values.items() if column not in taken}
    for ours, asked in fields.items():
        if isinstance(asked, str):
            found = reach(row.values, asked)
        else:
            found = [None if (part := reach(row.values, each)) is ABSENT else part for each in asked]
        if found is not ABSENT:
            values[ours] = found
        elif not isinstance(asked, str) or "." in asked:
            values.pop(ours, None)
    return Row(values=values, name=row.name, columns=fields)
