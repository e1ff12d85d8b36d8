"""The tensors that a training changed <-> a safetensors file; theta_1 rebuilt from it is verified by its hash."""

import json
from collections.abc import Mapping
from typing import BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from rayforget.errors import RecordError
from rayforget.interpolate.hashing import state_hash
from rayforget.record.storage.store import Store
from rayforget.values.records import CheckpointRecord


def weights_name(trial: str, step: int) -> str:
    """Name of the file in the sweep's folder."""
    return f"weights/{trial}-{step:06d}.safetensors"


def save_weights(store: Store, trial: str, step: int, changed: Mapping[str, Tensor]) -> int:
    """Writes the full values of the changed tensors and returns the file's size in bytes.

    Values, not differences: theta_0 + (theta_1 - theta_0) misses up to 12 % of fp32 values. Replaces the file of a
    training of the same (trial, step) that died before it was recorded.

    Args:
        store: the sweep's folder.
        trial: the trial's name.
        step: optimiser steps taken.
        changed: canonical name -> fp32 tensor of any shape, any device.

    Raises:
        RecordError: a tensor is not fp32.
    """
    for name, tensor in changed.items():
        if tensor.dtype != torch.float32:
            raise RecordError(f"weights of {trial}-{step}: {name} is {tensor.dtype}, expected torch.float32")
    header, size = _header(changed)

    def write(stream: BinaryIO) -> None:
        stream.write(header)
        for name in sorted(changed):
            stream.write(changed[name].detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)

    store.write_by(weights_name(trial, step), write)
    return size


def _header(tensors: Mapping[str, Tensor]) -> tuple[bytes, int]:
    """The start of a safetensors file of these fp32 tensors by sorted name, and the whole file's size.

    safetensors' own `save` gives the same bytes, after it has copied all tensors twice: 8 s at 1.3 billion weights.
    """
    entries, end = {}, 0
    for name in sorted(tensors):
        start, end = end, end + tensors[name].numel() * 4
        entries[name] = {"dtype": "F32", "shape": list(tensors[name].shape), "data_offsets": [start, end]}
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, 8 + len(text) + end


def load_weights(store: Store, trial: str, step: int) -> dict[str, Tensor]:
    """The stored tensors, unchecked except for their layout.

    Raises:
        RecordError: no weights were kept, or their file is damaged.
    """
    name = weights_name(trial, step)
    if not store.exists(name):
        raise RecordError(
            f"the weights of {trial}-{step} were not kept: {name} is not in {store}; "
            "weights stay for points on or near the frontier (storage.keep)"
        )
    try:
        tensors: dict[str, Tensor] = load(store.read(name))
    except SafetensorError as error:
        raise RecordError(f"{name} in {store} is damaged ({error}); restore it from a copy") from error
    return tensors


def load_theta_1(
    store: Store,
    record: CheckpointRecord,
    theta_0: Mapping[str, Tensor],
    reference: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """theta_1 = theta_0 overlaid with the stored tensors, verified by its hash to be the one that was scored.

    Args:
        store: the sweep's folder.
        record: the (trial, step)'s record, which holds the hash.
        theta_0: the start of the training (`Foundation.initial(recipe)`), on the CPU; its tensors are not copied.
        reference: a theta_1 to measure a difference against, if one is at hand.

    Raises:
        RecordError: the weights are missing or damaged, do not fit theta_0, or give another hash.
    """
    if record.theta_1_hash is None:
        raise RecordError(f"{record.key} failed and has no weights: {(record.reason or 'no reason given')[:200]}")
    stored = load_weights(store, record.trial, record.step)
    for name, tensor in stored.items():
        if name not in theta_0:
            raise RecordError(f"weights of {record.key}: the foundation has no tensor {name}; is it another model?")
        if tensor.shape != theta_0[name].shape:
            raise RecordError(
                f"weights of {record.key}: {name} has shape {tuple(tensor.shape)}, "
                f"theta_0's has {tuple(theta_0[name].shape)}; is it another model?"
            )
    theta_1 = {**theta_0, **stored}
    if (found := state_hash(theta_1)) != record.theta_1_hash:
        raise RecordError(
            f"theta_1 of {record.key} was rebuilt with hash {found}, the record has {record.theta_1_hash}"
            f"{_largest_difference(theta_1, reference)}; either {weights_name(record.trial, record.step)} is damaged "
            f"or theta_0 (hash {state_hash(theta_0)}, the record's sweep had {record.theta_0_hash}) is another model"
        )
    return theta_1


def _largest_difference(theta_1: Mapping[str, Tensor], reference: Mapping[str, Tensor] | None) -> str:
    if reference is None:
        return ""
    gaps = {
        name: float((tensor - reference[name]).abs().nan_to_num(nan=torch.inf).max())
        for name, tensor in theta_1.items()
        if tensor.numel() > 0
    }
    worst = max(gaps, key=lambda name: gaps[name])
    return f" (largest difference to the reference: {gaps[worst]:.3g}, in {worst})"
