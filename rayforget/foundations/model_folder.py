"""A model's files in a folder -> an error if they cannot be what their names say; reads no weights."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rayforget.errors import FoundationError
from rayforget.lfs import is_pointer, told

MOST_LAYERS = 10_000
"""No model has a tenth of it; each layer takes memory before a weight is read."""
_LAYERS = re.compile(r"(layers?|depths?|blocks|experts)$")
_DEEPEST = 5


def read_config(path: Path) -> dict[str, Any]:
    """The JSON object in a model's config file.

    Raises:
        FoundationError: the file cannot be read, or holds something else.
    """
    refuse_pointers([path])
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FoundationError(f"{path} is no JSON ({error}); write it again") from error
    if not isinstance(config, dict):
        raise FoundationError(f"{path} holds {type(config).__name__}, expected a JSON object; write it again")
    for name, layers in _layers(config, depth=0):
        if layers > MOST_LAYERS:
            raise FoundationError(f"{path}: found {name}: {layers}, expected at most {MOST_LAYERS} layers; correct it")
    return config


def _layers(config: Mapping[str, Any], *, depth: int) -> Iterator[tuple[str, int]]:
    """Every number of layers or experts in a config and those inside it, with its key."""
    for name, value in config.items():
        if isinstance(value, Mapping) and depth < _DEEPEST:
            yield from _layers(value, depth=depth + 1)
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, int) and _LAYERS.search(name):
                yield name, number


def refuse_empty(weights: Iterable[Path]) -> None:
    """Refuses empty files of weights, as an interrupted copy leaves them, and Git LFS's pointers to such files.

    Raises:
        FoundationError: the message names one.
    """
    for path in sorted(weights):
        if not path.is_file() or not path.stat().st_size:
            raise FoundationError(f"{path} holds no bytes; copy or download the model's weights again")
        refuse_pointers([path], "the weights")


def refuse_pointers(files: Iterable[Path], what: str = "its contents") -> None:
    """Refuses Git LFS's pointers; `what` says what ought to be there.

    Raises:
        FoundationError: the message names one.
    """
    for path in sorted(files):
        if is_pointer(path):
            raise FoundationError(told(path, what))
