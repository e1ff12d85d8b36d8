"""The bytes of a shard's label files -> class indices, or names as text."""

import json
import re
from pathlib import Path
from typing import Literal

from rayforget.errors import TaskError

Several = Literal["captions", "classes"]
"""What an image has any number of."""
_LARGEST = 2**31
_LONGEST_NAME = 1000
_HALF = re.compile("[\ud800-\udfff]")


def read_label(
    shard: Path, key: str, data: bytes, *, json_key: str | None, several: Several | None = None
) -> int | str:
    """One label.

    Args:
        shard: its file, for messages.
        key: its sample.
        data: the label file's bytes.
        json_key: where the class is in a JSON object; None if the whole text is the class.
        several: whether it is any number of captions or names, whatever they look like.

    Raises:
        TaskError: it is neither an index nor a name.
    """
    try:
        found = data.decode().strip() if json_key is None else _of_object(json.loads(data), json_key)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        expected = "a class index or name as text" if json_key is None else f"a JSON object with {json_key!r}"
        raise TaskError(f"{shard}: label of {key} is {data[:40]!r} ({error}); expected {expected}") from None
    if several is not None:
        text = in_lines(found.splitlines() if isinstance(found, str) else found, several)
        if text is None:
            raise TaskError(f"{shard}: {several} of {key} are {str(found)[:40]!r}; expected a text, or a list of texts")
        return text
    if isinstance(found, str) and found.removeprefix("-").isdecimal() and len(found) < 12:
        found = int(found)
    if isinstance(found, str) and (len(found) > _LONGEST_NAME or _HALF.search(found)):
        what = f"{len(found)} letters long" if len(found) > _LONGEST_NAME else "half a character (a lone surrogate)"
        raise TaskError(f"{shard}: label of {key} is {found[:40]!a}, {what}; expected a class index or name")
    if isinstance(found, bool) or not isinstance(found, int | str) or found == "":
        raise TaskError(f"{shard}: label of {key} is {ascii(found)[:60]}; expected a class index or name")
    if isinstance(found, int) and not 0 <= found < _LARGEST:
        raise TaskError(f"{shard}: label of {key} is {found}; expected a class index from 0 to {_LARGEST - 1}")
    return found


def in_lines(found: object, several: Several) -> str | None:
    """An image's captions, or names or indices of classes -> one text with one in each line; None if it has none.

    An image may have no class, but not no caption.
    """
    kinds = str if several == "captions" else str | int
    if not isinstance(found, list | tuple) or not all(isinstance(each, kinds) for each in found):
        return None
    lines = [line for line in (" ".join(str(each).split()) for each in found) if line]
    return "\n".join(lines) if lines or several == "classes" else None


def indices_of(pattern: str, labels: list[int | str]) -> tuple[tuple[str, ...] | None, list[int]]:
    """Class names, sorted, and every label's index among them; None and the labels if all are indices.

    Raises:
        TaskError: some are indices and some are names.
    """
    names = sorted({label for label in labels if isinstance(label, str)})
    if not names:
        return None, [label for label in labels if isinstance(label, int)]
    if any(isinstance(label, int) for label in labels):
        raise TaskError(f"shards {pattern}: some labels are class indices and some are names, such as {names[0]!r}")
    place = {name: index for index, name in enumerate(names)}
    return tuple(names), [place[str(label)] for label in labels]


def _of_object(found: object, key: str) -> object:
    if not isinstance(found, dict) or key not in found:
        raise LookupError(f"no {key!r}")
    return found[key]
