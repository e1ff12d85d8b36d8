"""Tokenised data -> one folder of the node's cache, written under a temporary name and memory-mapped when read."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache as remember
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import TaskError
from rayforget.tasks.cache_folder import remove_leftovers, written_whole
from rayforget.tasks.images.node_lock import node_lock
from rayforget.tasks.text.documents import canonical

logger = logging.getLogger(__name__)

_FACTS = "facts.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenised:
    """Arrays and facts, by name."""

    arrays: Mapping[str, NDArray[Any]]
    """Read-only when they come from the cache."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """JSON values."""


def tokenised(cache: Path, key_parts: list[Any], make: Callable[[], Tokenised], *, what: str) -> Tokenised:
    """The arrays from this node's cache, or made now while the node's other processes wait.

    Args:
        cache: a folder on this node.
        key_parts: everything that decides the arrays except the code, as JSON values.
        make: makes them.
        what: the split's name in the log, e.g. `tasks.arc.val`.

    Raises:
        TaskError: raised by `make`, or the disk keeps only a part.
    """
    key = sha256(canonical([_code_version(), *key_parts])).hexdigest()[:32]
    folder = cache / key
    stored = _read(folder)
    if stored is None:
        with node_lock(cache / "locks" / key, f"tokenising {what}") as held:
            stored = _read(folder)
            if stored is None:
                if held:
                    remove_leftovers(folder)
                logger.info("%s: tokenising, once for this node", what)
                stored = _write(folder, make())
    return stored


def _read(folder: Path) -> Tokenised | None:
    """The folder's arrays; None if there are none or the disk kept only a part of them."""
    try:
        description = json.loads((folder / _FACTS).read_text())
        arrays = {name: _load(folder / f"{name}.npy") for name in description["arrays"]}
    except (FileNotFoundError, EOFError, ValueError):  # the last two: a file cut off in or after its header
        return None
    return Tokenised(arrays=arrays, facts=description["facts"])


def _load(path: Path) -> NDArray[Any]:
    try:
        mapped: NDArray[Any] = np.load(path, mmap_mode="r")
    except ValueError:  # an array without elements cannot be mapped
        mapped = np.load(path)
        if mapped.size:
            raise
        mapped.flags.writeable = False
    return mapped


def _write(folder: Path, made: Tokenised) -> Tokenised:
    """Writes the folder and reads it back; if two processes do so at once, both succeed."""
    with written_whole(folder, is_whole=lambda there: _read(there) is not None) as complete:
        for array, values in made.arrays.items():
            np.save(complete / f"{array}.npy", values)
        (complete / _FACTS).write_text(json.dumps({"arrays": sorted(made.arrays), "facts": dict(made.facts)}))
    stored = _read(folder)
    if stored is None:
        raise TaskError(f"{folder}: damaged while it was written; remove this folder and look at the disk")
    return stored


@remember
def _code_version() -> str:
    """Hash of this folder's code and of the versions of the packages that make prompts and tokens."""
    digest = sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    libraries = " ".join(f"{name} {version(name)}" for name in ("lm_eval", "transformers", "tokenizers"))
    return f"{digest.hexdigest()} {libraries}"
