"""A model's files in a folder -> an error if they cannot be what their names say; reads no weights."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rayforget.errors import FoundationError


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
    return config


def refuse_empty(weights: Iterable[Path]) -> None:
    """Refuses empty files of weights, as an interrupted copy leaves them.

    Raises:
        FoundationError: the message names one.
    """
    for path in sorted(weights):
        if not path.is_file() or not path.stat().st_size:
            raise FoundationError(f"{path} holds no bytes; copy or download the model's weights again")
