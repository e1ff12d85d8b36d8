"""A Hugging Face data set, local or on the hub -> random access to its undecoded images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import TaskError
from rayforget.space.data import DatasetSource
from rayforget.tasks.hub_split import check_revision, commit_in, load_split, title
from rayforget.tasks.images.file_stamps import file_stamp, stamp_of

__all__ = ["DatasetImages", "check_revision", "commit_in"]


class DatasetImages:
    """One split of a data set; the image column stays encoded, so that broken images can be counted."""

    class_names: tuple[str, ...] | None
    revision: str | None
    """The commit of a hub data set; None for a local one."""

    def __init__(self, source: DatasetSource) -> None:
        """Opens the data set, memory-mapped; hub data sets and Parquet files go through the library's cache.

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
        self.class_names, self._labels = _labels(table, source.label, self._title)
        self._images = _undecoded(table, source.image, self._title)
        self._files = [entry["filename"] for entry in table.cache_files] if table._indices is None else []
        self._inside = _lie_inside(self._images, source.image)
        self.place = f"{source.model_dump_json()} {self.revision}"

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
        return Path(cell["path"]).read_bytes() if cell["path"] else b""

    def stamps(self, indices: Sequence[int]) -> list[bytes | None]:
        """The Arrow file's stamp with the item's row; images in files of their own have none."""
        of_files = [file_stamp(path) for path in self._files]
        if not of_files or None in of_files:
            return [None] * len(indices)
        whole = stamp_of(self.place.encode(), *(stamp for stamp in of_files if stamp is not None))
        return [stamp_of(whole, str(index).encode()) if self._inside[index] else None for index in indices]


def _labels(table: Any, column: str, title: str) -> tuple[tuple[str, ...] | None, NDArray[np.int64]]:
    """The names of a ClassLabel (else None) and every item's class index."""
    values = table.select_columns([column]).with_format("arrow")[:][column]
    if values.null_count:
        raise TaskError(f"{title}: {values.null_count} items have no label in column {column!r}")
    labels = values.to_numpy()
    if labels.dtype.kind not in "iu":
        raise TaskError(f"{title}: column {column!r} holds {table.features[column]}, expected class indices")
    names = getattr(table.features[column], "names", None)
    return (tuple(names) if names else None), labels.astype(np.int64)


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
