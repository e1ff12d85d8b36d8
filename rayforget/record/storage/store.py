"""A folder on a disk or in S3, GCS and the like, in which a file exists whole or not at all."""

import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast
from urllib.parse import unquote, urlsplit

from rayforget.errors import RecordError
from rayforget.record.storage.folder import TEMPORARY, Entry, Folder, IsOwn, Writer
from rayforget.record.storage.local_folder import LocalFolder
from rayforget.record.storage.patience import Patience

if TYPE_CHECKING:
    from rayforget.record.storage.fence import Fence

Answer = TypeVar("Answer")
_RETRY_S = 20.0
"""Patience of a command in front of which somebody sits."""


class Store:
    """Names are relative to the folder, their parts separated by `/`.

    Passing refusals are waited out; a refusal by the disk or the server that is permanent, or lasts too long, is a
    StorageError that says what could not be done. If another driver has taken over the sweep, every write raises
    TakenOverError.
    """

    def __init__(self, folder: Folder, *, patience: Patience | None = None, fence: "Fence | None" = None) -> None:
        self.folder = folder
        self.patience = patience or Patience(_RETRY_S)
        self.fence = fence
        """Permits writes of this process; None permits all."""

    @classmethod
    def open(cls, location: str | Path) -> "Store":
        """The store at a local path (made absolute) or a URI (`s3://bucket/folder`, `gs://...`); creates nothing.

        Raises:
            RecordError: there is no file system of this kind, or the URI is not valid.
        """
        if "\0" in unquote(str(location)):
            raise RecordError(f"the storage path {str(location)!a} has a character of number 0; write another")
        if "://" not in str(location):
            return cls(LocalFolder(Path(location).expanduser().absolute()))
        try:
            parts = urlsplit(str(location))
        except ValueError as error:
            raise RecordError(f"the storage path {str(location)!a} is no URI ({error}); correct it") from None
        if parts.scheme.lower() == "file":
            return cls(LocalFolder(Path(unquote(parts.path))))
        from rayforget.record.storage.remote_open import open_remote  # takes a while to import

        return cls(open_remote(str(location)))

    def __str__(self) -> str:
        return str(self.local or self.folder)

    @property
    def local(self) -> Path | None:
        """The folder's path on this machine; None for a remote one."""
        return self.folder.local

    @property
    def location(self) -> str:
        """The argument with which `open` opens this folder; unlike the store's text it may contain a secret."""
        return self.folder.location

    def within(self, folder: str) -> "Store":
        """The store of a folder inside this one."""
        return Store(self.folder.within(self._checked(folder)), patience=self.patience, fence=self.fence)

    def waiting(self, retry_s: float) -> "Store":
        """The same store with other patience: the seconds to wait for a storage that does not answer."""
        return Store(self.folder, patience=Patience(retry_s), fence=self.fence)

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of this name."""
        return self._look(name) is not None

    def size(self, name: str) -> int:
        """Bytes of a file; 0 if there is none."""
        found = self._look(name)
        return (found.size if found else None) or 0

    def read(self, name: str) -> bytes:
        """The whole file.

        Raises:
            RecordError: there is no such file.
        """

        def gather(chunks: Iterator[bytes]) -> bytes:
            whole = io.BytesIO()  # gives its bytes away without a second copy
            for chunk in chunks:
                whole.write(chunk)
            return whole.getvalue()

        return self.read_by(name, gather)

    def read_by(self, name: str, reader: Callable[[Iterator[bytes]], Answer]) -> Answer:
        """What `reader` makes of the file's bytes; it is called again if the storage stopped midway.

        Raises:
            RecordError: there is no such file.
        """
        checked = self._checked(name)

        def read() -> Answer:
            try:
                return reader(self.folder.chunks(checked))
            except FileNotFoundError as error:
                raise RecordError(f"no file {name} in {self}; was the sweep, or its weights, deleted?") from error

        return self.patience.answer(f"{self}/{name} cannot be read", read)

    def files(self, folder: str = "") -> dict[str, int]:
        """Name -> bytes of the files directly in a folder, sorted by name, without unfinished ones."""
        found = {entry.name: entry.size for entry in self.entries(folder) if not entry.name.startswith(TEMPORARY)}
        return {name: size for name, size in found.items() if size is not None}

    def json_files(self, folder: str) -> dict[str, str | None]:
        """Names of the record's files in a folder, sorted, with their stamps (`Entry.stamp`); ignores all other files
        (`.nfs0001`, notes)."""
        return {
            entry.name: entry.stamp
            for entry in self.entries(folder)
            if entry.size is not None and entry.name.endswith(".json") and not entry.name.startswith(".")
        }

    def folders(self, folder: str = "") -> list[str]:
        """Names of the folders directly in a folder, sorted."""
        return [entry.name for entry in self.entries(folder) if entry.size is None]

    def entries(self, folder: str = "") -> list[Entry]:
        """The direct contents of a folder, sorted by name, unfinished files among them."""
        checked = self._checked(folder) if folder else ""
        where = f"{self}/{folder}" if folder else str(self)
        found = self.patience.answer(f"{where} cannot be listed", lambda: self.folder.children(checked))
        return sorted(found, key=lambda entry: entry.name)

    def write(self, name: str, data: bytes) -> None:
        """Writes a file, or replaces it, in one step."""
        self.write_by(name, lambda stream: stream.write(data))

    def write_by(self, name: str, writer: Writer) -> None:
        """Like `write`, for content better not held in memory as a whole: `writer` writes it to a stream.

        It is called again if the storage refused midway. If it raises, there is no new file.
        """
        checked = self._checked(name)

        def write(stream: BinaryIO) -> None:
            listening = _Listening(stream)
            try:
                writer(cast(BinaryIO, listening))
            except Exception as error:
                # When its stream refuses, torch.save raises an error of its own that hides why.
                raise listening.refusal or error from error

        self._write(name, lambda: self.folder.replace(checked, write))

    def write_once(self, name: str, data: bytes) -> None:
        """Writes a file that never changes; writing the same content again is no error, even by two writers at once.

        Raises:
            RecordError: there is a file of this name with other content, which stays as it is.
        """
        checked = self._checked(name)
        if not self._write(name, lambda: self.folder.create(checked, data)) and self.read(name) != data:
            raise RecordError(f"{name} in {self} exists with other content, and files of the record never change")

    def delete(self, name: str) -> None:
        """Deletes a file or a folder with all its contents; a missing path is no error."""
        checked = self._checked(name)

        def delete() -> None:
            with suppress(FileNotFoundError):  # another was faster
                self.folder.delete(checked)

        self._write(name, delete, "deleted")

    def is_link(self, name: str) -> bool:
        """Whether this is a link to somewhere else."""
        return self.folder.is_link(self._checked(name))

    def delete_own(self, is_own: IsOwn) -> list[str]:
        """Deletes the files that `is_own` knows, and the folder if nothing else is in it; gives the rest's paths."""
        return self._write("files of its own", lambda: self.folder.delete_own(is_own), "deleted")

    def delete_unfinished(self) -> None:
        """Deletes what killed writers left, in all folders; only for the one process that may write here."""
        self.patience.answer(f"what killed writers left in {self} cannot be deleted", self.folder.delete_unfinished)

    def _write(self, name: str, act: Callable[[], Answer], done: str = "written") -> Answer:
        def write() -> Answer:
            if self.fence is not None:
                self.fence.check()  # again after every wait: the sweep may have been taken over meanwhile
            return act()

        return self.patience.answer(f"{self}/{name} cannot be {done}", write)

    def _checked(self, name: str) -> str:
        parts = PurePosixPath(name).parts
        if not parts or parts[0] == "/" or ".." in parts:
            raise RecordError(f"{name!r} is no name inside {self}; expected parts separated by /, without ..")
        return "/".join(parts)

    def _look(self, name: str) -> Entry | None:
        checked = self._checked(name)
        return self.patience.answer(f"{self}/{name} cannot be looked at", lambda: self.folder.look(checked))


class _Listening:
    """A stream for writing that remembers the error with which it refused."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.refusal: Exception | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._stream.write(data)
        except Exception as error:
            self.refusal = error
            raise

    def flush(self) -> None:
        self._stream.flush()
