"""A fault of another package's extension, and a space file -> the line of the file that names the extension."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rayforget.errors import BrokenExtensionError
from rayforget.extensions.use import naming_the_blamed
from rayforget.space.file.document import At, Document, dotted

_CALLED = re.compile(r"\b(penalty|path|metric|foundation) '([^']+)' of package ")
"""How messages call one (`Registry.called`), which need not be imported here: a record's failure is read elsewhere."""
_ITEMS = {"penalty": "penalties", "path": "paths"}
"""What is named as an item of a list or a mapping -> its key."""
_VALUES = {"metric": "metric", "foundation": "kind"}
"""What is named as a value -> its key."""


@contextmanager
def naming_their_lines(document: Document) -> Iterator[None]:
    """Puts the place that names an extension before a fault of it: `space.yaml:12: methods.mine.penalties.huber: ...`.

    Raises:
        BrokenExtensionError: in the place of such a fault; every other error passes as it is.
    """
    try:
        with naming_the_blamed():
            yield
    except BrokenExtensionError as error:
        place = place_of_fault(str(error), document)
        if place is None:
            raise
        raise BrokenExtensionError(f"{place}: {error}") from error


def place_of_fault(text: str, document: Document) -> str | None:
    """The first place that names the extension of which a fault's text speaks, with its keys; None if none does."""
    called = _CALLED.search(text)
    if called is None:
        return None
    noun, name = called.groups()
    for at in document.places:
        item = at[-1:] == (name,) and at[-2:-1] == (_ITEMS.get(noun),)
        value = at[-1:] == (_VALUES.get(noun),) and _value(document.tree, at) == name
        if item or value:
            return f"{document.where(at)}: {dotted(at)}"
    return None


def _value(tree: Any, at: At) -> Any:
    for key in at:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree
