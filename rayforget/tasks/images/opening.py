"""A declared source -> random access to its undecoded images and their labels."""

from pathlib import Path
from typing import assert_never

from rayforget.space.tasks.data import DatasetSource, FolderSource, Source, SuiteName, WebdatasetSource, WorldSource
from rayforget.space.tasks.image_splits import Declared
from rayforget.tasks.images.decoding import Reading
from rayforget.tasks.images.shard_labels import Several
from rayforget.tasks.images.sources import ImageSource


def open_source(
    source: Source, *, suite: SuiteName | None = None, several: Several | None = None, key: Declared = "train"
) -> ImageSource:
    """Opens a source; decodes nothing.

    With `several`, an image has several captions, or names of classes, which are one label with one in each line.

    `key` is what the source is to a task, for messages.

    With `suite`, labels are the suite's classes, items of folders outside them have label -1, and the source applies
    the suite's preparation (a crop of the border).

    Raises:
        TaskError: the data is missing, has no items, or (with a suite) has a label outside the suite.
    """
    if suite is not None:
        from rayforget.tasks.images.labelled import label_by_suite
        from rayforget.tasks.images.suites import load_suite

        opened = open_source(source, key=key)
        return label_by_suite(opened, load_suite(suite, source), strict=isinstance(source, FolderSource))
    match source:
        case FolderSource():
            from rayforget.tasks.images.folder import FolderImages

            return FolderImages(Path(source.path), key)
        case WebdatasetSource():
            from rayforget.tasks.images.shards import ShardImages

            return ShardImages(
                source.shards, image=source.image, label=source.label, label_key=source.label_key, several=several
            )
        case DatasetSource():
            from rayforget.tasks.images.hub import DatasetImages

            return DatasetImages(source, several=several)
        case WorldSource():
            from rayforget.builtin.pictures.world import WorldImages

            return WorldImages(source)
        case _:
            assert_never(source)


def broken_limit(source: Source) -> int:
    """How many unreadable images the source may have; drawn ones are never broken."""
    return 0 if isinstance(source, WorldSource) else source.max_broken


def limit_of(source: Source) -> int | None:
    """How many of the source's images are taken at most; drawn ones have their count."""
    return None if isinstance(source, WorldSource) else source.limit


def reading_of(source: Source) -> Reading:
    """How the source's images are read; those of a data set are turned as `datasets` turns them."""
    if isinstance(source, WorldSource):
        return Reading()
    upright = isinstance(source, DatasetSource) or source.exif == "apply"
    return Reading(upright=upright, max_megapixels=source.max_megapixels)
