"""A folder on a local disk or in S3, GCS and their like, in which a file is there whole or not at all."""

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import pyarrow.fs as fs

from rayforget.errors import RecordError, StorageError

Writer = Callable[[BinaryIO], object]
"""Writes a file's bytes to a stream."""
_OBJECT_STORES = frozenset({"s3", "gcs", "abfs"})
"""Types whose uploads appear when complete, and which have no rename: written in place."""
_TEMPORARY = ".writing-"
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


class Store:
    """Names are relative to the folder, their parts separated by `/`.

    Locally a file is written under a temporary name beside its own, synced, and then linked or renamed. Whatever the
    disk or the server refuses is a StorageError that says what could not be done.
    """

    def __init__(self, filesystem: fs.FileSystem, root: str) -> None:
        self.filesystem = filesystem
        self.root = root.rstrip("/")
        self.local = Path(self.root or "/") if isinstance(filesystem, fs.LocalFileSystem) else None
        """The folder's path on this machine; None for a remote one."""

    @classmethod
    def open(cls, location: str | Path) -> "Store":
        """The store at a local path (made absolute) or a URI (`s3://bucket/folder`, `gs://...`); creates nothing.

        Raises:
            RecordError: no file system of this kind.
        """
        if "://" not in str(location):
            return cls(fs.LocalFileSystem(), str(Path(location).expanduser().absolute()))
        try:
            filesystem, root = fs.FileSystem.from_uri(str(location))
        except (ValueError, OSError, NotImplementedError) as error:
            raise RecordError(
                f"storage {location} cannot be opened ({error}); expected a local folder, s3://BUCKET/... or gs://..."
            ) from error
        return cls(filesystem, root)

    def __str__(self) -> str:
        return str(self.local) if self.local else f"{self.filesystem.type_name}://{self.root}"

    def within(self, folder: str) -> "Store":
        """The store of a folder inside this one."""
        return Store(self.filesystem, self._path(folder))

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of this name."""
        found: bool = self._info(name).type != fs.FileType.NotFound
        return found

    def size(self, name: str) -> int:
        """Bytes of a file; 0 where there is none."""
        return self._info(name).size or 0

    def read(self, name: str) -> bytes:
        """The whole file.

        Raises:
            RecordError: there is none.
        """
        with storage_errors(f"{self}/{name} cannot be read"):
            try:
                with self.filesystem.open_input_file(self._path(name)) as stream:
                    data: bytes = stream.read()
            except FileNotFoundError as error:
                raise RecordError(f"no file {name} in {self}; was the sweep, or its weights, deleted?") from error
        return data

    def files(self, folder: str = "") -> dict[str, int]:
        """Name -> bytes of the files directly in a folder, sorted by name; unfinished ones are left out."""
        return {
            info.base_name: info.size
            for info in self._children(folder)
            if info.type == fs.FileType.File and not info.base_name.startswith(_TEMPORARY)
        }

    def json_files(self, folder: str) -> list[str]:
        """Names of the record's files in a folder, sorted; what else lies there (`.nfs0001`, notes) is left out."""
        return [name for name in self.files(folder) if name.endswith(".json") and not name.startswith(".")]

    def folders(self, folder: str = "") -> list[str]:
        """Names of the folders directly in a folder, sorted."""
        return [info.base_name for info in self._children(folder) if info.type == fs.FileType.Directory]

    def write(self, name: str, data: bytes) -> None:
        """Writes a file, or replaces it, in one step."""
        self.write_by(name, lambda stream: stream.write(data))

    def write_by(self, name: str, writer: Writer) -> None:
        """The same for what is better not held in memory as a whole: `writer` writes it to a stream."""
        with storage_errors(f"{self}/{name} cannot be written"):
            if self.local is None:
                self._write_remote(name, writer)
                return
            temporary, path = self._write_temporary(name, writer)
            try:
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
            _sync_folder(path.parent)

    def write_once(self, name: str, data: bytes) -> None:
        """Writes a file that never changes; the same content again is no error, also from two writers at once.

        Remote file systems cannot refuse in the same step: there the first of two writers at the same moment loses.

        Raises:
            RecordError: there is a file of this name with other content; it stays as it is.
        """
        if self.exists(name):
            self._refuse_other_content(name, data)
            return
        with storage_errors(f"{self}/{name} cannot be written"):
            if self.local is None:
                self._write_remote(name, lambda stream: stream.write(data))
                return
            temporary, path = self._write_temporary(name, lambda stream: stream.write(data))
            try:
                os.link(temporary, path)  # unlike rename, fails if another writer was faster
            except FileExistsError:
                self._refuse_other_content(name, data)
            except OSError as error:
                if error.errno not in _NO_HARD_LINKS:
                    raise
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
            _sync_folder(path.parent)

    def delete(self, name: str) -> None:
        """Deletes a file or a folder with all in it; nothing there is no error."""
        path, kind = self._path(name), self._info(name).type
        with storage_errors(f"{self}/{name} cannot be deleted"), suppress(FileNotFoundError):  # another was faster
            if kind == fs.FileType.Directory:
                self.filesystem.delete_dir(path)
            elif kind != fs.FileType.NotFound:
                self.filesystem.delete_file(path)

    def delete_unfinished(self) -> None:
        """Deletes what killed writers left, in all folders; only for the one process that may write here."""
        with storage_errors(f"what killed writers left in {self} cannot be deleted"):
            for info in self.filesystem.get_file_info(fs.FileSelector(self.root, allow_not_found=True, recursive=True)):
                if info.base_name.startswith(_TEMPORARY):
                    self.filesystem.delete_file(info.path)

    def _path(self, name: str) -> str:
        parts = PurePosixPath(name).parts
        if not parts or parts[0] == "/" or ".." in parts:
            raise RecordError(f"{name!r} is no name inside {self}; expected parts separated by /, without ..")
        return "/".join((self.root, *parts))

    def _info(self, name: str) -> fs.FileInfo:
        with storage_errors(f"{self}/{name} cannot be looked at"):
            return self.filesystem.get_file_info(self._path(name))

    def _children(self, folder: str) -> list[fs.FileInfo]:
        root = str(self.local) if self.local else self.root
        selector = fs.FileSelector(self._path(folder) if folder else root, allow_not_found=True)
        with storage_errors(f"{f'{self}/{folder}' if folder else self} cannot be listed"):
            return sorted(self.filesystem.get_file_info(selector), key=lambda info: str(info.base_name))

    def _refuse_other_content(self, name: str, data: bytes) -> None:
        if self.read(name) != data:
            raise RecordError(f"{name} in {self} exists with other content, and files of the record never change")

    def _write_temporary(self, name: str, writer: Writer) -> tuple[Path, Path]:
        path = Path(self._path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{_TEMPORARY}{path.name}-{secrets.token_hex(8)}")
        try:
            with temporary.open("xb") as stream:
                writer(stream)
                stream.flush()
                os.fsync(stream.fileno())
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return temporary, path

    def _write_remote(self, name: str, writer: Writer) -> None:
        path = PurePosixPath(self._path(name))
        in_place = self.filesystem.type_name in _OBJECT_STORES
        temporary = path if in_place else path.with_name(f"{_TEMPORARY}{path.name}-{secrets.token_hex(8)}")
        if not in_place:
            self.filesystem.create_dir(str(path.parent), recursive=True)
        with self.filesystem.open_output_stream(str(temporary)) as stream:
            writer(stream)
        if not in_place:
            self.filesystem.move(str(temporary), str(path))


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Says `what` could not be done, and why, where the operating system or a remote storage refuses."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        reason = " ".join((error.strerror or str(error)).split())  # a server's may have several lines
        raise StorageError(f"{what} ({reason}); see to the storage, or name another, and try again") from error


def _sync_folder(folder: Path) -> None:
    """Makes a new name survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
