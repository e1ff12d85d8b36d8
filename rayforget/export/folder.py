"""A point's weights -> a model folder, read again to prove that it holds them."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from rayforget.errors import FoundationError, RecordError, StorageError
from rayforget.export.opened import OpenedSweep
from rayforget.export.point import PointWeights
from rayforget.foundations.exporter import Aside
from rayforget.foundations.prepare import prepare_foundation
from rayforget.foundations.protocol import Foundation
from rayforget.interpolate.hashing import state_hash
from rayforget.record.cache_folder import cache_folder
from rayforget.space.foundation import FoundationConfig
from rayforget.space.models import Space

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenModel:
    """A model folder that was read again by the library."""

    folder: Path
    spec: FoundationConfig
    """A foundation that is this folder."""
    foundation: Foundation
    """What was read, with the space's tasks."""
    aside: Aside | None
    extra: Mapping[str, Tensor]
    """The tensors of `aside`, as they were read again, in fp32."""
    hash: str
    """`state_hash` of all that was read, in fp32: the scored point's, if it was written in fp32."""


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, whose files are `folder`'s when the block ends well; it is gone if it does not.

    It is made beside a new `folder`, and inside one that is there and empty: that may be the working folder, a link or
    the root of a disk, which cannot be replaced.

    Raises:
        StorageError: `folder` holds something, or cannot be made.
    """
    folder = folder.absolute()
    there = folder.is_symlink() or folder.exists()
    try:
        if there:
            _refuse_full(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        place = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder if there else folder.parent))
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"{folder} cannot be made ({error.strerror}); give another folder") from error
    try:
        yield place
        try:
            _open_to_others(place)
            if there:
                _move_up(place, folder)
            else:
                _rename(place, folder)
        except StorageError:
            raise
        except OSError as error:
            raise StorageError(
                f"{folder} cannot be put in place ({error.strerror}): does another export write it? Give a new folder"
            ) from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _refuse_full(folder: Path, *, but: Path | None = None) -> None:
    if not folder.is_dir():
        raise StorageError(f"{folder} is a file; give a new folder")
    if found := sorted(path.name for path in folder.iterdir() if path != but):
        raise StorageError(f"{folder} is not empty (found {', '.join(found[:3])}); give a new folder")


def _open_to_others(place: Path) -> None:
    """Gives every file the mode that the user's files have: safetensors' are for their owner alone."""
    mode = 0o666 & ~_umask()
    for path in place.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(mode)


def _rename(place: Path, folder: Path) -> None:
    place.chmod(0o777 & ~_umask())
    place.rename(folder)


def _move_up(place: Path, folder: Path) -> None:
    _refuse_full(folder, but=place)
    for path in place.iterdir():
        path.rename(folder / path.name)


def _umask() -> int:
    """The process's; it can only be read by setting it."""
    found = os.umask(0o077)
    os.umask(found)
    return found


def write_model(opened: OpenedSweep, weights: PointWeights, folder: Path, dtype: torch.dtype) -> WrittenModel:
    """Writes the folder, reads it by the library, and in fp32 compares the hash of what was read.

    Args:
        opened: the sweep.
        weights: the point's.
        folder: an empty one.
        dtype: of the files' tensors.

    Raises:
        FoundationError: the library's format cannot hold the model, or the type not its numbers.
        RecordError: what was read is not what was written.
    """
    _refuse_overflow(weights.theta, dtype)
    aside = opened.exporter.aside(weights.theta)
    spec = opened.exporter.save(weights.theta, folder, dtype)
    extra: dict[str, Tensor] = {}
    if aside is not None:
        stored = {name: tensor.to(dtype).contiguous() for name, tensor in aside.tensors.items()}
        save_file(stored, folder / aside.file, metadata=dict(aside.metadata))
        extra = {name: tensor.to(torch.float32) for name, tensor in load_file(folder / aside.file).items()}
    foundation = read_again(opened.space, spec)
    found = state_hash({**foundation.theta_0, **extra})
    if dtype == torch.float32 and found != (expected := state_hash(weights.theta)):
        raise RecordError(
            f"{folder} was read again with hash {found}, the scored point has {expected}; the folder is not the "
            "model: is the disk full, or the model of an architecture that its library saves otherwise than it loads?"
        )
    return WrittenModel(folder=folder, spec=spec, foundation=foundation, aside=aside, extra=extra, hash=found)


def read_again(space: Space, spec: FoundationConfig, device: torch.device | None = None) -> Foundation:
    """The folder as a foundation with the space's tasks."""
    named = space.model_copy(update={"foundation": spec})
    return prepare_foundation(named, cache=cache_folder(space), device=device or torch.device("cpu"))


def _refuse_overflow(theta: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    for name, tensor in theta.items():
        if not bool(tensor.to(dtype).isfinite().all()) and bool(tensor.isfinite().all()):
            largest = float(tensor.abs().max())
            raise FoundationError(f"{name} has a weight of {largest:.3g}, beyond {dtype}; export it as bf16 or fp32")
