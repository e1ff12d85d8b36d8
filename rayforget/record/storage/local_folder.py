"""A folder on a disk: files are written under a temporary name beside their own, synced, then linked or renamed."""

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR

from rayforget.record.storage.folder import TEMPORARY, Entry, IsOwn, Writer

_NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
_CHUNK_BYTES = 8 * 2**20
_RACY_NS = 2 * 10**9
"""Two changes of a file closer than the coarsest file systems' times may look like one."""
_DELETIONS = 10
"""How often a folder's deletion restarts if another process deletes in it at the same time."""


class LocalFolder:
    """See `Folder`; a new file's name survives a power cut, as do the folders made for it."""

    def __init__(self, root: Path) -> None:
        self.local = root

    @property
    def location(self) -> str:
        """The path."""
        return str(self.local)

    def within(self, path: str) -> "LocalFolder":
        """The folder at this path."""
        return LocalFolder(self.local / path)

    def look(self, path: str) -> Entry | None:
        """Follows links."""
        try:
            return _entry(self.local / path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def children(self, path: str) -> list[Entry]:
        """Leaves out files that vanish meanwhile, and broken links."""
        found = []
        with suppress(FileNotFoundError):
            for name in os.listdir(self.local / path):
                with suppress(FileNotFoundError):
                    found.append(_entry(self.local / path / name))
        return found

    def chunks(self, path: str) -> Iterator[bytes]:
        """Yields a few MiB at a time."""
        with (self.local / path).open("rb", buffering=0) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                yield chunk

    def replace(self, path: str, writer: Writer) -> None:
        """Renames, so that a reader sees the old file or the new one."""
        target = self.local / path
        temporary = _write_temporary(target, writer)
        try:
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)

    def create(self, path: str, data: bytes) -> bool:
        """Makes a hard link, which fails if another writer was faster; renames on disks without hard links."""
        target = self.local / path
        if os.path.lexists(target):
            return False
        temporary = _write_temporary(target, lambda stream: stream.write(data))
        try:
            os.link(temporary, target)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(target.parent)
        return True

    def delete(self, path: str) -> None:
        """Deletes a link itself, not its target."""
        target = self.local / path
        if not target.is_dir() or target.is_symlink():
            target.unlink(missing_ok=True)
            return
        for attempt in range(_DELETIONS):
            try:
                shutil.rmtree(target)
            except FileNotFoundError:  # another process deletes in it too
                if not target.exists():
                    return
                if attempt == _DELETIONS - 1:
                    raise
            else:
                return

    def is_link(self, path: str) -> bool:
        """Whether it is a symbolic link, also one to nowhere."""
        return (self.local / path).is_symlink()

    def delete_own(self, is_own: IsOwn) -> list[str]:
        """Looks only into folders that are known."""
        return _delete_own(self.local, "", is_own)

    def delete_unfinished(self) -> None:
        """Looks in all folders below; only for the one process that may write here."""
        for folder, _, names in os.walk(self.local):
            for name in names:
                if name.startswith(TEMPORARY):
                    Path(folder, name).unlink(missing_ok=True)


def _delete_own(folder: Path, prefix: str, is_own: IsOwn) -> list[str]:
    left = []
    for name in sorted(os.listdir(folder)):
        path, there = f"{prefix}{name}", folder / name
        if there.is_dir() and not there.is_symlink():
            left += _delete_own(there, f"{path}/", is_own) if is_own(f"{path}/") else [f"{path}/"]
        elif there.is_symlink() or not is_own(path):
            left.append(path)
        else:
            there.unlink(missing_ok=True)
    if not left:
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:  # an open file that is deleted keeps a name on NFS until it is closed
                raise
    return left


def _entry(path: Path) -> Entry:
    found = path.stat()
    if S_ISDIR(found.st_mode):
        return Entry(name=path.name, size=None)
    changed = max(found.st_mtime_ns, found.st_ctime_ns)
    settled = changed < time.time_ns() - _RACY_NS
    stamp = f"{found.st_size}.{found.st_mtime_ns}.{found.st_ctime_ns}.{found.st_ino}" if settled else None
    return Entry(name=path.name, size=found.st_size, stamp=stamp)


def _write_temporary(target: Path, writer: Writer) -> Path:
    _make_folder(target.parent)
    temporary = target.with_name(f"{TEMPORARY}{target.name}-{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as stream:
            writer(stream)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _make_folder(folder: Path) -> None:
    """Makes it and its missing parents, each synced into the folder that holds it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Makes a new name survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
