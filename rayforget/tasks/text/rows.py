"""A declared source of texts -> its rows as dictionaries, each with a name by which it can be found."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

from rayforget.errors import TaskError
from rayforget.space.text import JsonLinesSource, LanguageSource, ParquetSource, TextDatasetSource, TextSource
from rayforget.tasks.hub_split import load_split, title


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row, with its columns under our names."""

    values: Mapping[str, Any]
    name: str
    """FILE:LINE, FILE #INDEX or DATASET[SPLIT] #INDEX, for messages."""


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
        TaskError: the data is missing, has no rows, or a row that is no object; the message names file and line.
    """
    revision = None
    match source:
        case JsonLinesSource():
            rows = json_lines(source.path)
        case ParquetSource():
            rows = parquet_rows(source.path)
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
    """The objects of a file with one per line, ignoring empty lines and a leading byte order mark."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield Row(values=_object(line, f"{path}:{number}"), name=f"{path}:{number}")
    except UnicodeDecodeError as error:
        raise TaskError(f"{path}: expected UTF-8, found other bytes ({error}); save it as UTF-8") from error
    except OSError as error:
        raise TaskError(f"{path}: cannot be read ({error.strerror}); expected a file of JSON lines") from error


def parquet_rows(path: Path) -> Iterator[Row]:
    """The rows of a Parquet file, or of a folder's *.parquet in the order of their names."""
    import pyarrow
    from pyarrow import parquet

    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise TaskError(f"{path}: expected *.parquet in this folder, found none")
    for file in files:
        try:
            table = parquet.ParquetFile(file)
            index = 0
            for batch in table.iter_batches():
                for values in batch.to_pylist():
                    yield Row(values=values, name=f"{file} #{index}")
                    index += 1
        except (OSError, pyarrow.ArrowException) as error:
            raise TaskError(f"{file}: cannot be read ({error}); expected a Parquet file") from error


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:  # a number with too many digits, too deep a nesting
        why = error.msg if isinstance(error, json.JSONDecodeError) else error
        raise TaskError(f"{where}: expected one JSON object on this line, found {_short(line)} ({why})") from None
    if not isinstance(values, dict):
        raise TaskError(f"{where}: expected a JSON object, found {_short(line)}")
    return values


def _language_rows(source: LanguageSource) -> Iterator[Row]:
    from rayforget.builtin.language.world import language_items

    items = language_items(source.part, split=source.split, count=source.count, seed=source.seed)
    for index, values in enumerate(items):
        yield Row(values=values, name=f"language {source.part}[{source.split}] #{index}")


def _first(rows: Iterator[Row], limit: int | None) -> Iterator[Row]:
    for index, row in enumerate(rows):
        if limit is not None and index >= limit:
            return
        yield row


def _renamed(rows: tuple[Row, ...], fields: Mapping[str, str]) -> tuple[Row, ...]:
    """The rows with our names added; a column that no row has is an error."""
    for ours, column in fields.items():
        if not any(column in row.values for row in rows):
            found = ", ".join(sorted(rows[0].values)) or "none"
            raise TaskError(f"{rows[0].name}: no column {column!r}, which fields calls {ours}; found {found}")
    if not fields:
        return rows
    taken = set(fields.values())
    return tuple(
        Row(
            values={
                **{column: value for column, value in row.values.items() if column not in taken},
                **{ours: row.values[column] for ours, column in fields.items() if column in row.values},
            },
            name=row.name,
        )
        for row in rows
    )


def _short(text: str, length: int = 60) -> str:
    text = text.strip()
    return repr(text if len(text) <= length else f"{text[:length]}...")
