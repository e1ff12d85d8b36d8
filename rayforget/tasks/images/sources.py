"""What a source of images can do: random access to its undecoded items, and what some sources know besides."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable


class ImageSource(Protocol):
    """Random access to the undecoded items of one source; every method may be called from several threads."""

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """What the source itself calls its labels (folders, a ClassLabel); None where it has only indices."""
        ...

    def __len__(self) -> int:
        """Number of items."""
        ...

    def name(self, index: int) -> str:
        """Path or key of an item, for messages."""
        ...

    def label(self, index: int) -> int:
        """Label of an item: an index into `class_names` where there are any."""
        ...

    def read(self, index: int) -> bytes:
        """Encoded bytes of an image."""
        ...


@runtime_checkable
class KnowsSizes(Protocol):
    """A source that knows how long an item is without reading it."""

    def size(self, index: int) -> int:
        """Encoded bytes of an item."""
        ...


@runtime_checkable
class KnowsRevision(Protocol):
    """A source that knows which commit of a hub data set it is."""

    @property
    def revision(self) -> str | None:
        """Forty hex digits; None for local data."""
        ...


@runtime_checkable
class KnowsFiles(Protocol):
    """A source whose items lie in files, so that an item's content hash can be remembered while its file stays."""

    @property
    def place(self) -> str:
        """Where the whole source lies."""
        ...

    def stamps(self, indices: Sequence[int]) -> list[bytes | None]:
        """What stays the same for as long as an item's bytes do (see `file_stamps`); reads no item.

        None where that cannot be told: the file is too young, for example.
        """
        ...


@runtime_checkable
class Draws(Protocol):
    """A source that draws its items, each from a random stream of its own; drawing holds Python's lock."""

    @property
    def stream(self) -> tuple[str | int, ...]:
        """Sources with different ones share no item's random stream, hence no item."""
        ...
