"""What a running training needs to go on after its workers died <-> the last two states, each with its checksum."""

import hashlib
import io
import logging
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import IO, Any, BinaryIO, cast

import torch

from rayforget.errors import RecordError, StorageError
from rayforget.heartbeat import beat
from rayforget.record.envelope import open_sealed, seal
from rayforget.record.storage.store import Store

logger = logging.getLogger(__name__)

_UNSEALED = "state"
"""Name of the single state that earlier versions kept, without a checksum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The training that a state belongs to; its folder's name does not tell, since folders are copied."""

    sweep: str
    trial: str
    recipe: str
    """The recipe's key."""


def save_resume(folder: Store, state: Mapping[str, Any], owner: Owner) -> None:
    """Keeps a training's state beside the last one, replacing the one before that.

    The older one is deleted first, so that there are never three. The seal with length and checksum is written last: a
    state without it does not count.

    Args:
        folder: the trial's resume folder.
        state: includes the training's `step`, which names the state; written tensor by tensor.
        owner: the training.
    """
    name = f"state-{state['step']:09d}"
    kept = [other for other in _saved(folder) if other != name][:1]
    for other in sorted({file.rpartition(".")[0] for file in folder.files()} - {name, *kept}):
        _drop(folder, other)
    summing = _Summing()

    def write(stream: BinaryIO) -> None:
        summing.start(stream)
        torch.save(dict(state), cast(IO[bytes], summing))

    folder.write_by(f"{name}.pt", write)
    body = {"step": state["step"], "bytes": summing.bytes, "sha256": summing.hash.hexdigest(), "owner": asdict(owner)}
    folder.write(f"{name}.json", seal("resume", body))


def newest_resume(folder: Store, owner: Owner) -> str | None:
    """The name of the newest intact state of this training, for `load_resume`; None if it has to start anew.

    Reads it whole. Damaged states, and those of another training, are deleted with a warning, so one rank asks for all:
    the others might find older ones on a network disk. States of earlier versions do not say whose they are.
    """
    for name in _saved(folder):
        if (damage := _damage(folder, name, owner)) is None:
            return name
        logger.warning(
            "%s/%s.pt, with which a training was to go on, is not used, and the one before it is tried: %s",
            folder, name, damage,
        )  # fmt: skip
        _drop(folder, name)
    return None


def load_resume(folder: Store, name: str | None) -> dict[str, Any] | None:
    """The state of this name, on the CPU; None for None.

    Raises:
        RecordError: it is missing or damaged.
    """
    if name is None:
        return None
    file = f"{name}.pt"
    source = folder.local / file if folder.local is not None else folder.read_by(file, _in_memory)
    try:
        state: dict[str, Any] = torch.load(source, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise RecordError(f"no file {file} in {folder}; was the sweep deleted?") from error
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError) as error:
        raise RecordError(f"{file} in {folder} is damaged ({_first_line(error)}); delete it") from error
    return state


def _saved(folder: Store) -> list[str]:
    """Names of the sealed states, newest first; an earlier version's comes last."""
    files = folder.files()
    sealed = sorted((file.removesuffix(".json") for file in files if file.endswith(".json")), reverse=True)
    return sealed + [_UNSEALED] * (f"{_UNSEALED}.pt" in files)


def _damage(folder: Store, name: str, owner: Owner) -> str | None:
    """What is wrong with a state; None if it is intact, and this training's."""
    try:
        if name == _UNSEALED:
            return folder.read_by(f"{name}.pt", lambda chunks: _zip_damage(_in_memory(chunks)))
        sealed = open_sealed("resume", folder.read(f"{name}.json"), f"{folder}/{name}.json")
        if (found := sealed.get("owner", asdict(owner))) != asdict(owner):
            return "it belongs to training {trial} of sweep {sweep} (recipe {recipe}), not to this one".format(**found)
        if (size := folder.size(f"{name}.pt")) != sealed["bytes"]:
            return f"it has {size} of {sealed['bytes']} bytes"

        def checksum(chunks: Iterator[bytes]) -> str:
            whole, done = hashlib.sha256(), 0
            for chunk in chunks:
                whole.update(chunk)
                done += len(chunk)
                beat("check the saved state", done, size)
            return whole.hexdigest()

        return None if folder.read_by(f"{name}.pt", checksum) == sealed["sha256"] else "its checksum does not fit"
    except StorageError:
        raise
    except RecordError as error:
        return str(error)


def _zip_damage(file: IO[bytes]) -> str | None:
    try:
        with zipfile.ZipFile(file) as archive:
            broken = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        return _first_line(error)
    return None if broken is None else f"{broken} in it is broken"


def _in_memory(chunks: Iterator[bytes]) -> io.BytesIO:
    whole = io.BytesIO()
    for chunk in chunks:
        whole.write(chunk)
        beat("read the saved state", whole.tell(), 0)
    whole.seek(0)
    return whole


def _drop(folder: Store, name: str) -> None:
    folder.delete(f"{name}.json")
    folder.delete(f"{name}.pt")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class _Summing:
    """A stream that passes on, counts and hashes what is written to it."""

    def start(self, stream: BinaryIO) -> None:
        """Starts a new file."""
        self._stream, self.bytes, self.hash = stream, 0, hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Returns the number of bytes written."""
        self._stream.write(data)
        self.hash.update(data)
        self.bytes += memoryview(data).nbytes
        beat("save the state", self.bytes, 0)
        return memoryview(data).nbytes

    def flush(self) -> None:
        """Called by torch at the end."""
        self._stream.flush()
