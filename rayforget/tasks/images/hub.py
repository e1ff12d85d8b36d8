"""A Hugging Face data set, local or on the hub -> random access to its undecoded images."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import TaskError
from rayforget.space.tasks.data import DatasetSource
from rayforget.tasks.hub_split import check_revision, commit_in, load_split, title
from rayforget.tasks.images.file_stamps import file_stamp, stamp_of
from rayforget.tasks.images.shard_labels import Several, in_lines

__all__ = ["DatasetImages", "check_revision", "commit_in"]


class DatasetImages:
    """One split of a data set; the image column stays encoded, so that broken images can be counted."""

    class_names: tuple[str, ...] | None
    labels_are_names: bool
    """Whether the label column holds texts, so that a name that no class has is a mistake."""
    revision: str | None
    """The commit of a hub data set; None for a local one."""

    def __init__(self, source: DatasetSource, *, several: Several | None = None) -> None:
        """Opens the data set, memory-mapped; hub data sets and Parquet files go through the library's cache.

        With `several`, the label column holds captions, or names or indices of classes, and lists of them.

        Raises:
            TaskError: the data set, its split or a column is missing, it is not at the commit that was asked for, or
                the labels are not class indices.
        """
        table, self.revision = load_split(source, files="Parquet or Arrow files")
        self._title = title(source)
        self._column = source.image
        for column in (source.image, source.label):
            if column not in table.features:
                raise TaskError(f"{self._title}: no column {column!r}; found {sorted(table.features)}")
        if len(table) == 0:
            raise TaskError(f"{self._title}: no items; choose another split")
        self.labels_are_names, self.class_names, self._labels = (
            _several(table, source.label, self._title, several)
            if several is not None
            else _labels(table, source.label, self._title)
        )
        self._images = _undecoded(table, source.image, self._title)
        self._files = [entry["filename"] for entry in table.cache_files] if table._indices is None else []
        self._inside = _lie_inside(self._images, source.image)
        self._folders = _own_folders(source)
        self.place = f"{source.model_dump_json(exclude={'max_megapixels', 'limit'})} {self.revision}"

    def __len__(self) -> int:
        """Number of items."""
        return len(self._labels)

    def name(self, index: int) -> str:
        """DATASET[SPLIT] #INDEX."""
        return f"{self._title} #{index}"

    def label(self, index: int) -> int:
        """The class index in the label column."""
        return int(self._labels[index])

    def read(self, index: int) -> bytes:
        """The image's bytes; empty (hence broken) if the cell is empty."""
        cell = self._images[index][self._column]
        if cell is None:
            return b""
        if cell["bytes"] is not None:
            return bytes(cell["bytes"])
        return self._own_file(cell["path"], index).read_bytes() if cell["path"] else b""

    def _own_file(self, path: str, index: int) -> Path:
        """The file that a cell names: of the data set's own folder, or of the library's cache.

        Raises:
            TaskError: it lies elsewhere, or is no regular file.
        """
        for found in (Path(os.path.abspath(path)), Path(os.path.abspath(self._folders[0] / path))):
            if any(found.is_relative_to(folder) for folder in self._folders) and found.is_file():
                return found
        raise TaskError(
            f"{self.name(index)}: the image cell names the file {path!r}; expected a file in {self._folders[0]}, since "
            "a data set may read no other files of this machine: copy the images into its folder"
        )

    def stamps(self, indices: Sequence[int]) -> list[bytes | None]:
        """The Arrow file's stamp with the item's row; images in files of their own have none."""
        of_files = [file_stamp(path) for path in self._files]
        if not of_files or None in of_files:
            return [None] * len(indices)
        whole = stamp_of(self.place.encode(), *(stamp for stamp in of_files if stamp is not None))
        return [stamp_of(whole, str(index).encode()) if self._inside[index] else None for index in indices]


def _own_folders(source: DatasetSource) -> list[Path]:
    """Where a data set's image files may lie: its folder, and where the library keeps what it downloads and unpacks."""
    from datasets import config
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(os.path.abspath(os.path.expanduser(source.path)))
    cached = (config.HF_DATASETS_CACHE, config.DOWNLOADED_DATASETS_PATH, config.EXTRACTED_DATASETS_PATH, HF_HUB_CACHE)
    return [folder, folder.resolve(), *(Path(os.path.abspath(each)) for each in cached)]


def _labels(table: Any, column: str, title: str) -> tuple[bool, tuple[str, ...] | None, NDArray[np.int64]]:
    """Whether the labels are names; the names of a ClassLabel or of texts (sorted), else None; every item's index."""
    values = table.select_columns([column]).with_format("arrow")[:][column]
    if values.null_count:
        raise TaskError(f"{title}: {values.null_count} items have no label in column {column!r}")
    labels = values.to_numpy()
    if labels.dtype.kind in "OU" and all(isinstance(label, str) for label in labels):
        found, indices = np.unique(labels.astype(str), return_inverse=True)
        return True, tuple(found.tolist()), indices.astype(np.int64)
    if labels.dtype.kind not in "iub":
        several = "; `metric: mean_average_precision` scores several of one image" if labels.dtype.kind == "O" else ""
        raise TaskError(
            f"{title}: column {column!r} holds {table.features[column]}, expected class indices or names{several}"
        )
    names = getattr(table.features[column], "names", None)
    return False, (tuple(names) if names else None), labels.astype(np.int64)


def _named(indices: list[int | None] | None, names: Sequence[str]) -> list[str] | None:
    """Names of an image's classes; None if it has no list of them, or one of them is none."""
    known = [index for index in indices or () if index is not None and 0 <= index < len(names)]
    return None if indices is None or len(known) < len(indices) else [names[index] for index in known]


def _several(table: Any, column: str, title: str, several: Several) -> tuple[bool, tuple[str, ...], NDArray[np.int64]]:
    """Like `_labels`, where a name is all of an image's captions or classes, one in each line."""
    values = table.select_columns([column]).with_format("arrow")[:][column].to_pylist()
    names = getattr(getattr(table.features[column], "feature", None), "names", None)  # a list of ClassLabels
    if names is not None:
        values = [_named(indices, names) for indices in values]
    texts = [in_lines([value] if isinstance(value, str) else value, several) for value in values]
    if None in texts:
        place = texts.index(None)
        raise TaskError(
            f"{title} #{place}: column {column!r} holds {str(values[place])[:40]!r}, expected {several} as a text or "
            "a list of texts"
        )
    found, indices = np.unique(np.asarray(texts, dtype=object), return_inverse=True)
    return True, tuple(found.tolist()), indices.astype(np.int64)


def _lie_inside(images: Any, column: str) -> NDArray[np.bool_]:
    """Which items' bytes are in the table itself; reads no item."""
    from pyarrow import compute

    cells = images.with_format("arrow").data.column(column)
    beside = compute.and_(compute.is_valid(cells), compute.is_null(compute.struct_field(cells, "bytes")))
    inside: NDArray[np.bool_] = ~beside.to_numpy()
    return inside


def _undecoded(table: Any, column: str, title: str) -> Any:
    """The image column alone, as bytes and path."""
    import datasets

    images = table.select_columns([column]).with_format(None)
    try:
        return images.cast_column(column, datasets.Image(decode=False))
    except (ValueError, TypeError, NotImplementedError) as error:
        raise TaskError(f"{title}: column {column!r} holds {table.features[column]}, expected images") from error
