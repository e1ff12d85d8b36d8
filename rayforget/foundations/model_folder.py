"""A model's files in a folder -> an error if they cannot be what their names say; reads no weights."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rayforget.errors import FoundationError

MOST_LAYERS = 10_000
"""No model has a tenth of it; each layer takes memory before a weight is read."""
_LAYERS = re.compile(r"(layers?|depths?|blocks|experts)$")
_DEEPEST = 5
_POINTER = b"version https://git-lfs"
"""How a file of Git LFS begins that was cloned without its contents."""


def read_config(path: Path) -> dict[str, Any]:
    """The JSON object in a model's config file.

    Raises:
        FoundationError: the file cannot be read, or holds something else.
    """
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
        with path.open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                raise FoundationError(
                    f"{path} is Git LFS's pointer to the weights instead of the weights; fetch them: git lfs pull"
                )
