"""The interface of a disk or a server to a store: whole files under paths relative to a root."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

Writer = Callable[[BinaryIO], object]
"""Writes a file's bytes to a stream; it may be called again if the storage refused them."""

IsOwn = Callable[[str], bool]
"""Whether a path is known; a folder's ends in `/`."""

TEMPORARY = ".writing-"
"""Prefix of the names of unfinished files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A file or a folder."""

    name: str
    size: int | None
    """Bytes of a file; None for a folder."""
    stamp: str | None = None
    """A file's text that changes whenever its bytes do; None if nothing tells, or it was changed a moment ago."""


class Folder(Protocol):
    """A tree of files. Paths are relative, their parts separated by `/`; "" is the root itself.

    Every method raises OSError if the disk or the server refuses. A file that its writer did not complete, for whatever
    reason, does not exist.
    """

    @property
    def location(self) -> str:
        """The argument with which `Store.open` opens this folder."""

    @property
    def local(self) -> Path | None:
        """The root's path on this machine; None for a remote one."""

    def within(self, path: str) -> "Folder":
        """The tree below a path."""

    def look(self, path: str) -> Entry | None:
        """The file or folder at this path; None if there is none."""

    def children(self, path: str) -> list[Entry]:
        """The direct contents of a folder, in any order; empty if there is no such folder."""

    def chunks(self, path: str) -> Iterator[bytes]:
        """A file's bytes in order; raises FileNotFoundError."""

    def replace(self, path: str, writer: Writer) -> None:
        """Writes a file, or replaces it, in one step."""

    def create(self, path: str, data: bytes) -> bool:
        """Writes a new file in one step; if there is one already, writes nothing and returns False."""

    def delete(self, path: str) -> None:
        """Deletes a file or a folder with all its contents; a missing path is no error."""

    def is_link(self, path: str) -> bool:
        """Whether this is a link to somewhere else; object stores have none."""

    def delete_own(self, is_own: IsOwn) -> list[str]:
        """Deletes the files that are known as somebody's own, and their folders where nothing else is in them.

        Returns:
            Paths of what is left, sorted: links, which are neither deleted nor followed, and everything that is not
            known; folders end in `/` and stand for all that is in them.
        """

    def delete_unfinished(self) -> None:
        """Deletes what killed writers left."""
