"""A score <-> JSON: per-item results as base64 of packed bits or of float32, weights and classes once per file."""

import base64
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import RecordError
from rayforget.values.scores import Score


@dataclass(slots=True)
class WeightsTable:
    """One file's weights and classes, by hash, since every point of a curve has the same items."""

    arrays: dict[str, str] = field(default_factory=dict)
    """Hash -> base64 of little-endian numbers of 4 bytes: float32 weights, int32 classes."""

    def add(self, array: NDArray[np.float32] | NDArray[np.int32]) -> str:
        """Adds the array and returns its name in the table."""
        data = array.astype(array.dtype.newbyteorder("<")).tobytes()
        name = hashlib.sha256(data).hexdigest()[:16]
        self.arrays.setdefault(name, _text(data))
        return name


def scores_to_json(scores: Mapping[str, Score], table: WeightsTable) -> dict[str, Any]:
    """Scores by task; adds their weights to `table`.

    Raises:
        RecordError: a task has no items, an item or a weight that is not finite, or unequal numbers of items and
            weights; the message names the task.
    """
    return {task: _score_to_json(task, score, table) for task, score in scores.items()}


def scores_from_json(body: Mapping[str, Any], arrays: Mapping[str, str]) -> dict[str, Score]:
    """The inverse; its arrays are read-only.

    Args:
        body: what `scores_to_json` returned.
        arrays: the table of the same file.

    Raises:
        KeyError, ValueError: entries are missing or have another length; the caller says in which file.
    """
    return {task: _score_from_json(task, entry, arrays) for task, entry in body.items()}


def _score_to_json(task: str, score: Score, table: WeightsTable) -> dict[str, Any]:
    items, weights = score.items, score.weights
    if items.ndim not in (1, 2) or 0 in items.shape[1:]:
        raise RecordError(f"score of {task}: items must have shape (num_items,) or (…, num_results), got {items.shape}")
    if items.ndim == 2 and (items.dtype != np.float32 or weights is not None):
        raise RecordError(f"score of {task}: several results of an item must be float32, without weights")
    if len(items) == 0:
        raise RecordError(f"score of {task}: no items; a score is a mean over at least one")
    if not np.isfinite(items).all():
        raise RecordError(f"score of {task}: an item is not finite; a failed evaluation is recorded as failed")
    entry: dict[str, Any] = {
        "rule": score.rule,
        "items_hash": score.items_hash,
        "num_items": len(items),
        "total": score.total,
        "count": score.count,
    }
    if items.dtype == np.bool_:
        entry["bits"] = _text(np.packbits(items.astype(np.bool_, copy=False)).tobytes())
    elif items.dtype == np.float32:
        entry["float32"] = _text(items.astype("<f4").tobytes())
        if items.ndim == 2:
            entry["num_results"] = items.shape[1]
    else:
        raise RecordError(f"score of {task}: items must be bool or float32, got {items.dtype}")
    if weights is not None:
        if weights.shape != items.shape or weights.dtype != np.float32 or not np.isfinite(weights).all():
            raise RecordError(
                f"score of {task}: weights must be finite float32 of shape {items.shape}, "
                f"got {weights.dtype} of shape {weights.shape}"
            )
        entry["weights"] = table.add(weights)
    if score.classes is not None:
        if score.classes.shape != items.shape or score.classes.dtype != np.int32 or score.classes.min() < 0:
            raise RecordError(
                f"score of {task}: classes must be int32 of shape {items.shape} and not negative, "
                f"got {score.classes.dtype} of shape {score.classes.shape}"
            )
        entry["classes"] = table.add(score.classes)
    if score.package is not None:
        entry["package"], entry["value"] = score.package, score.value
        if not np.isfinite(score.value):
            raise RecordError(f"score of {task}: {score.rule} of {score.package} gave {score.value}; expected 0 to 1")
    if score.facts:
        entry["facts"] = dict(score.facts)
    return entry


def _score_from_json(task: str, entry: Mapping[str, Any], arrays: Mapping[str, str]) -> Score:
    num_items = int(entry["num_items"])
    items: NDArray[np.bool_] | NDArray[np.float32]
    if "bits" in entry:
        packed = np.frombuffer(_bytes(entry["bits"], (num_items + 7) // 8, task), dtype=np.uint8)
        items = np.unpackbits(packed, count=num_items).view(np.bool_)
        items.flags.writeable = False
    else:
        shape = (num_items, int(entry["num_results"])) if "num_results" in entry else (num_items,)
        items = _floats(entry["float32"], math.prod(shape), task).reshape(shape)
    weights = _floats(arrays[entry["weights"]], num_items, task) if "weights" in entry else None
    classes = _integers(arrays[entry["classes"]], num_items, task) if "classes" in entry else None
    return Score(
        rule=entry["rule"],
        package=entry.get("package"),
        items=items,
        weights=weights,
        classes=classes,
        items_hash=entry["items_hash"],
        facts={name: int(count) for name, count in entry.get("facts", {}).items()},
        recorded=entry.get("value"),
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str, length: int, task: str) -> bytes:
    data = base64.b64decode(text, validate=True)
    if len(data) != length:
        raise ValueError(f"score of {task}: {len(data)} bytes where its number of items needs {length}")
    return data


def _floats(text: str, length: int, task: str) -> NDArray[np.float32]:
    return np.frombuffer(_bytes(text, 4 * length, task), dtype="<f4").astype(np.float32, copy=False)


def _integers(text: str, length: int, task: str) -> NDArray[np.int32]:
    return np.frombuffer(_bytes(text, 4 * length, task), dtype="<i4").astype(np.int32, copy=False)
