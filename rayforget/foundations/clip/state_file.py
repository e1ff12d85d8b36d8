"""A file of weights -> a model's tensors under its own names, whatever wrapped the model that was saved.

open_clip takes off `module.`, which DDP puts before names. torch.compile and classes around the model (`model.`, the
`image_encoder.model.` of WiSE-FT's) have other prefixes, and a classification head may lie beside them.
"""

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from rayforget.errors import FoundationError
from rayforget.foundations.alike import refuse_unlike
from rayforget.foundations.clip.names import TOWERS, part_of
from rayforget.foundations.finite import refuse_non_finite
from rayforget.foundations.pickles import pickled_tensors
from rayforget.interpolate.hashing import CHANGED_FROM, state_hash

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
        FoundationError: the file cannot be read without running code, or has more of a tower than the model.
        RuntimeError: open_clip cannot convert it into this model.
    """
    from open_clip.factory import load_checkpoint

    own = clip.state_dict()
    tensors = {} if path.suffix in _ARRAYS else _read(path)
    prefix = wrapper_of(tensors, own) or ""
    found = {name: _as(tensors[prefix + name], tensor) for name, tensor in own.items() if prefix + name in tensors}
    if found.keys() == own.keys() and all(found[name].shape == own[name].shape for name in own):
        if more := sorted(_own_tensors(tensors, prefix, own).keys() - own.keys()):
            raise FoundationError(
                f"{path} is of another architecture: the model has no place for {', '.join(more[:5])} "
                f"({len(more)} in all); the weights and their architecture must belong together"
            )
        clip.load_state_dict(found)
        _say_unread(path, tensors.keys() - {prefix + name for name in own})
        return
    for name, tensor in own.items():
        there = tensors.get(prefix + name)
        if name.endswith("positional_embedding") and there is not None and there.shape != tensor.shape:
            told = "%s: %s is of %d positions and the model has %d: open_clip resizes it, so that it is none that was "
            told += "trained; name the architecture of the file's own size under foundation.model, if there is one"
            logger.warning(told, path, name, len(there), len(tensor))
    load_checkpoint(clip, str(path))


def completed_by(base: Mapping[str, Tensor], path: Path) -> dict[str, Tensor] | None:
    """The model of a file that holds a part of one, with the base's tensors for all that it lacks; None of a whole one.

    Such a file holds one tower, whole, or says of what it lacks that it is as in this base (`CHANGED_FROM`). A file of
    another format, which open_clip may know, is not a part either.

    Args:
        base: a model's tensors, on the CPU in fp32.
        path: the file.

    Raises:
        FoundationError: the file's names are the base's and its tensors are not of its architecture (see
            `refuse_unlike`), or are not finite; or it cannot be read without running code.
    """
    if path.suffix in _ARRAYS:
        return None
    tensors = _read(path)
    start = _changed_from(path)
    prefix = wrapper_of(tensors, base) if start is None else ""
    if prefix is None:
        return None
    found = _own_tensors(tensors, prefix, base)
    lacking = base.keys() - found.keys()
    if start is not None and lacking and start != (own := state_hash(base)) and not _is_one_tower(lacking, base):
        raise FoundationError(
            f"{path} holds what a training changed of a model with hash {start}, and the base has hash {own}; give the "
            "base that it was tuned from"
        )
    if not lacking or (start is None and not _is_one_tower(lacking, base)):
        refuse_unlike(found, base, str(path))
        return None
    whole = {**base, **{name: tensor.to(torch.float32) for name, tensor in found.items()}}
    refuse_unlike(whole, base, str(path))
    refuse_non_finite(found, str(path))
    kept = "; ".join(f"{part} ({count})" for part, count in sorted(Counter(map(part_of, lacking)).items()))
    _say_unread(path, tensors.keys() - {prefix + name for name in found})
    logger.warning("%s holds %d of %d tensors; these are the base's: %s", path, len(found), len(base), kept)
    return whole


def _say_unread(path: Path, names: Collection[str]) -> None:
    told = sorted(name for name in names if not name.endswith(_COUNTERS))
    if told:
        logger.warning("%s: the model has no place for %s; they are not read", path, ", ".join(told[:5]))


def _changed_from(path: Path) -> str | None:
    """The hash of the model from which a training began, if the file says that it holds what that changed."""
    if path.suffix != ".safetensors":
        return None
    with safe_open(path, "pt") as file:
        return (file.metadata() or {}).get(CHANGED_FROM)


def _is_one_tower(lacking: Collection[str], base: Collection[str]) -> bool:
    """Whether, of two towers, one is there in full and nothing of the other."""
    towers = [{name for name in base if part_of(name) == tower} for tower in TOWERS]
    lost = [names & set(lacking) for names in towers]
    return any(lost[own] == set() and lost[1 - own] == towers[1 - own] for own in (0, 1))


def _own_tensors(tensors: Mapping[str, Tensor], prefix: str, base: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What of a file is a part of the model, or would be one of another architecture; a head beside it is not."""
    own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    towers = {name.partition(".")[0] for name in base}
    return {
        name: _as(tensor, base[name]) if name in base else tensor
        for name, tensor in own.items()
        if name in base
        or (tensor.is_floating_point() and name.partition(".")[0] in towers and not name.endswith(_COUNTERS))
    }


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
