"""What a store asks of a disk or a server: whole files under paths relative to a root."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

Writer = Callable[[BinaryIO], object]
"""Writes a file's bytes to a stream; it may be called again where the storage refused them."""

TEMPORARY = ".writing-"
"""How the names of files begin that are not whole yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file or a folder."""

    name: str
    size: int | None
    """Bytes of a file; None for a folder."""


class Folder(Protocol):
    """A tree of files. Paths are relative, their parts separated by `/`; "" is the root itself.

    Every method raises OSError for what the disk or the server refuses. A file that a writer could not complete, for
    whatever reason, is not there.
    """

    @property
    def location(self) -> str:
        """What `Store.open` takes to open this folder."""

    @property
    def local(self) -> Path | None:
        """The root's path on this machine; None for a remote one."""

    def within(self, path: str) -> "Folder":
        """The tree below a path."""

    def look(self, path: str) -> Entry | None:
        """The file or folder of this path; None where there is none."""

    def children(self, path: str) -> list[Entry]:
        """What lies directly in a folder, in any order; nothing where there is no such folder."""

    def chunks(self, path: str) -> Iterator[bytes]:
        """A file's bytes in order; raises FileNotFoundError."""

    def replace(self, path: str, writer: Writer) -> None:
        """Writes a file, or replaces it, in one step."""

    def create(self, path: str, data: bytes) -> bool:
        """Writes a new file in one step; False, and nothing is written, where there is one."""

    def delete(self, path: str) -> None:
        """Deletes a file or a folder with all in it; nothing there is no error."""

    def delete_unfinished(self) -> None:
        """Deletes what killed writers left."""
