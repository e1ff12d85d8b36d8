"""`--set key.path=value` options -> a document with those values, whose place is the option."""

import copy
from collections.abc import Sequence
from typing import Any

from rayforget.errors import SpaceError
from rayforget.space.file.document import At, Document, item_key, read_yaml

_MOST_KEYS = 50
_LONGEST_SHOWN = 200
"""Letters of an option that a message repeats."""


def override(document: Document, options: Sequence[str]) -> Document:
    """The document with each `key.path=value` set, in order; the value is YAML.

    Missing mappings on the way are created; an item of a list is named by its number or its `kind`. Keys are checked
    later, together with the file's. Raises SpaceError for an option of another form.
    """
    tree, places = copy.deepcopy(dict(document.tree)), dict(document.places)
    for option in options:
        place = f"--set {option}" if len(option) <= _LONGEST_SHOWN else f"--set {option[:_LONGEST_SHOWN]}..."
        key, equals, text = option.partition("=")
        if not equals or not all(key.split(".")):
            raise SpaceError(f"{place}: found no key=value; write e.g. --set search.trainings=8")
        if key.count(".") >= _MOST_KEYS:
            raise SpaceError(f"--set: found {key.count('.') + 1} keys in a row, expected at most {_MOST_KEYS}")
        at = _set(tree, key.split("."), _value(text, place), place)
        for one in [one for one in places if one[: len(at)] == at] if at in places else ():
            del places[one]
        for length in range(1, len(at) + 1):
            places.setdefault(at[:length], place)
    return Document(tree=tree, places=places)


def _value(text: str, place: str) -> Any:
    try:
        return read_yaml(text, place)
    except SpaceError as error:
        raise SpaceError(str(error).replace(f"{place}:1: ", f"{place}: ", 1)) from None  # most options are one line


def _set(tree: dict[str, Any], keys: list[str], value: Any, place: str) -> At:
    """Sets the value and returns its place in the document."""
    at: list[str | int] = []
    node: Any = tree
    for position, key in enumerate(keys):
        parent, last = ".".join(keys[:position]), position == len(keys) - 1
        if isinstance(node, dict):
            at.append(key)
            slot: Any = key
            if node.get(key) is None:
                node[key] = {}
        elif isinstance(node, list):
            slot = _index(node, key)
            if slot is None:
                raise SpaceError(f"{place}: found no item {key} in {parent}; name one by its number or its kind")
            at.append(item_key(slot, node[slot]))
        else:
            raise SpaceError(f"{place}: {parent} is {node!r}, which has no keys inside; set {parent} itself")
        if last:
            node[slot] = value
        node = node[slot]
    return tuple(at)


def _index(items: list[Any], key: str) -> int | None:
    keys = [(str(index), item_key(index, item)) for index, item in enumerate(items)]
    return next((index for index, names in enumerate(keys) if key in names), None)
