"""A row and one of our names -> words for messages: the columns that it has, and what was found in the right one."""

from rayforget.tasks.nearest import nearest
from rayforget.tasks.text.prompts import shortened
from rayforget.tasks.text.rows import Row


def found_in(row: Row, key: str) -> str:
    """What the row has under a name of ours."""
    if key not in row.values:
        return "no such key"
    return shortened(row.values[key])


def columns_of(row: Row, key: str) -> str:
    """The row's columns, and how to name the right one, if it has none of this name."""
    if key in row.values:
        return ""
    meant = nearest(key, row.values) or nearest(key.removesuffix("s"), row.values) or "COLUMN"
    return f" among {', '.join(sorted(row.values)) or 'none'}; name the column under `fields: {{{key}: {meant}}}`"


def named(row: Row, key: str) -> str:
    """`answer`, and the column that the space gives for it."""
    asked = row.columns.get(key)
    if asked is None:
        return f"`{key}`"
    return f"`{key}` (column {asked})" if isinstance(asked, str) else f"`{key}` (columns {', '.join(asked)})"
