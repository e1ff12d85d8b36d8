"""A declared source -> random access to its undecoded images and their labels."""

from typing import Protocol, assert_never, runtime_checkable

from rayforget.space.data import DatasetSource, FolderSource, Source, SuiteName, WebdatasetSource, WorldSource


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
class Draws(Protocol):
    """A source that draws its items, each from a random stream of its own; drawing holds Python's lock."""

    @property
    def stream(self) -> tuple[str | int, ...]:
        """Sources with different ones share no item's random stream, hence no item."""
        ...


def open_source(source: Source, *, suite: SuiteName | None = None) -> ImageSource:
    """Opens a source; nothing is decoded.

    With `suite`, labels are the suite's classes, items of folders that belong to none of them have label -1, and the
    suite's preparation (a crop of the border) comes with the source.

    Raises:
        TaskError: the data is missing, has no items, or (with a suite) a label that is none of the suite's.
    """
    if suite is not None:
        from rayforget.tasks.images.labelled import label_by_suite
        from rayforget.tasks.images.suites import load_suite

        return label_by_suite(open_source(source), load_suite(suite, source), strict=isinstance(source, FolderSource))
    match source:
        case FolderSource():
            from rayforget.tasks.images.folder import FolderImages

            return FolderImages(source.path)
        case WebdatasetSource():
            from rayforget.tasks.images.shards import ShardImages

            return ShardImages(source.shards, image=source.image, label=source.label)
        case DatasetSource():
            from rayforget.tasks.images.hub import DatasetImages

            return DatasetImages(source)
        case WorldSource():
            from rayforget.builtin.pictures.world import WorldImages

            return WorldImages(source)
        case _:
            assert_never(source)


def broken_limit(source: Source) -> int:
    """How many unreadable images the source may hold; drawn ones are never broken."""
    return 0 if isinstance(source, WorldSource) else source.max_broken
