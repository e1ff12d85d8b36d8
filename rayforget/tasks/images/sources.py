"""The interfaces of image sources: random access to undecoded items, and what only some sources know."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable


class ImageSource(Protocol):
    """Random access to the undecoded items of one source; every method may be called from several threads."""

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The source's own names of its labels (folders, a ClassLabel); None if it has only indices."""
        ...

    def __len__(self) -> int:
        """Number of items."""
        ...

    def name(self, index: int) -> str:
        """Path or key of an item, for messages."""
        ...

    def label(self, index: int) -> int:
        """Label of an item: an index into `class_names` if there are any."""
        ...

    def read(self, index: int) -> bytes:
        """Encoded bytes of an image."""
        ...


@runtime_checkable
class KnowsSizes(Protocol):
    """A source that knows an item's length without reading it."""

    def size(self, index: int) -> int:
        """Encoded bytes of an item."""
        ...


@runtime_checkable
class KnowsRevision(Protocol):
    """A source that knows its hub data set's commit."""

    @property
    def revision(self) -> str | None:
        """Forty hex digits; None for local data."""
        ...


@runtime_checkable
class KnowsFiles(Protocol):
    """A source whose items lie in files, so that their content hashes can be remembered while the files stay."""

    @property
    def place(self) -> str:
        """Where the whole source lies."""
        ...

    def stamps(self, indices: Sequence[int]) -> list[bytes | None]:
        """Stamps that stay the same as long as the items' bytes do (see `file_stamps`); reads no item.

        None if that cannot be told, e.g. because the file is too young.
        """
        ...


@runtime_checkable
class Draws(Protocol):
    """A source that draws its items, each from a random stream of its own; drawing holds Python's lock."""

    @property
    def stream(self) -> tuple[str | int, ...]:
        """Sources with different streams share no item's random stream, hence no item."""
        ...


@runtime_checkable
class PassesOver(Protocol):
    """A source that may find files which it does not take."""

    @property
    def passed_over(self) -> str | None:
        """How many and which; None if there are none."""
        ...


@runtime_checkable
class HasDepth(Protocol):
    """A source of folders, whose classes' folders may hold folders again."""

    @property
    def deeper(self) -> str | None:
        """Which folder may be meant instead, if no image lies in a class's folder itself; None if some do."""
        ...


@runtime_checkable
class NamesLabels(Protocol):
    """A source that says whether its labels are names themselves."""

    @property
    def labels_are_names(self) -> bool:
        """True if `class_names` are what the items say, not another wording of class indices."""
        ...
