"""A file of weights -> a model's tensors under its own names, whatever wrapped the model that was saved.

open_clip takes off `module.`, which DDP puts before names. torch.compile and classes around the model (`model.`, the
`image_encoder.model.` of WiSE-FT's) have other prefixes, and a classification head may lie beside them.
"""

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from rayforget.errors import FoundationError
from rayforget.foundations.alike import refuse_unlike
from rayforget.foundations.pickles import pickled_tensors

logger = logging.getLogger(__name__)
_LEAST_KNOWN = 0.25
"""Share of a model's names that a file must have; with fewer it is of another format, which open_clip may know."""
_COUNTERS = ("num_batches_tracked", "position_ids")
"""Endings of integers, which are no part of theta, even where a file has them as floats."""
_ARRAYS = (".npz", ".npy")
"""big_vision's files, which open_clip converts."""


def read_into(clip: nn.Module, path: Path) -> None:
    """Loads the file into the model; formats with other names are left to open_clip, which converts several.

    Raises:
        FoundationError: the file cannot be read without running code.
        RuntimeError: open_clip cannot convert it into this model.
    """
    from open_clip.factory import load_checkpoint

    own = clip.state_dict()
    tensors = {} if path.suffix in _ARRAYS else _read(path)
    prefix = wrapper_of(tensors, own) or ""
    found = {name: _as(tensors[prefix + name], tensor) for name, tensor in own.items() if prefix + name in tensors}
    if found.keys() == own.keys() and all(found[name].shape == own[name].shape for name in own):
        clip.load_state_dict(found)
        if others := sorted(tensors.keys() - {prefix + name for name in own}):
            logger.warning("%s: the model has no place for %s; they are not read", path, ", ".join(others[:5]))
        return
    load_checkpoint(clip, str(path))


def refuse_unlike_file(path: Path, base: Mapping[str, Tensor]) -> None:
    """Refuses a file whose names are the base's and whose tensors are not of its architecture.

    Raises:
        FoundationError: see `refuse_unlike`; or the file cannot be read without running code.
    """
    if path.suffix in _ARRAYS:
        return
    tensors = _read(path)
    prefix = wrapper_of(tensors, base)
    if prefix is None:
        return
    own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    towers = {name.partition(".")[0] for name in base}
    found = {
        name: _as(tensor, base[name]) if name in base else tensor
        for name, tensor in own.items()
        if name in base
        or (tensor.is_floating_point() and name.partition(".")[0] in towers and not name.endswith(_COUNTERS))
    }
    refuse_unlike(found, base, str(path))


def wrapper_of(tensors: Collection[str], own: Collection[str]) -> str | None:
    """What stands before most of a model's own names in a file, "" for nothing; None if few of them are there."""
    endings = {name.rpartition(".")[2] for name in own}
    prefixes: Counter[str] = Counter()
    for name in tensors:
        if name.rpartition(".")[2] in endings:
            starts = (0, *(place + 1 for place, letter in enumerate(name) if letter == "."))
            prefixes.update(name[:start] for start in starts if name[start:] in own)
    likely = max(prefixes, key=lambda prefix: (prefixes[prefix], -len(prefix)), default=None)
    return likely if likely is not None and prefixes[likely] >= _LEAST_KNOWN * len(own) else None


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix != ".safetensors":
        return pickled_tensors(path)
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise FoundationError(f"{path} cannot be read as safetensors ({error}); copy it again") from error
    return tensors


def _as(tensor: Tensor, own: Tensor) -> Tensor:
    """A single number in the model's own shape: () and (1,) are both usual."""
    return tensor.reshape(own.shape) if tensor.numel() == own.numel() == 1 else tensor
