"""Rows that were skipped, by the reason why: the fact `broken_rows` of a record, and how it is told."""

from collections.abc import Mapping, Sequence

Skipped = Mapping[str, Sequence[str]]
"""Why, in words that stand behind a number (without `answer`) -> the names of the rows."""


def counted(skipped: Skipped) -> str:
    """`2 without `answer` (a.csv:7, ...), 1 with an empty choice (a.csv:9)`; the most frequent first."""
    kinds = sorted(skipped.items(), key=lambda kind: -len(kind[1]))
    return ", ".join(f"{len(names)} {why} ({names[0]}{', ...' if len(names) > 1 else ''})" for why, names in kinds)
