"""A Hugging Face data set, local or on the hub -> random access to its undecoded images."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import TaskError
from rayforget.space.data import DatasetSource


class DatasetImages:
    """One split of a data set; the image column stays encoded, so that broken images can be counted."""

    class_names: tuple[str, ...] | None
    revision: str | None
    """Commit of the hub data set that was taken; None for a local one."""

    def __init__(self, source: DatasetSource) -> None:
        """Opens the data set, memory-mapped; a hub data set, or one of Parquet files, goes through the library's cache.

        Raises:
            TaskError: the data set, its split or a column is missing, or the labels are not class indices.
        """
        table, self.revision = _load(source)
        self._title = f"{source.path}[{source.split}]"
        self._column = source.image
        for column in (source.image, source.label):
            if column not in table.features:
                raise TaskError(f"{self._title}: no column {column!r}; found {sorted(table.features)}")
        if len(table) == 0:
            raise TaskError(f"{self._title}: no items; choose another split")
        self.class_names, self._labels = _labels(table, source.label, self._title)
        self._images = _undecoded(table, source.image, self._title)

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
        """The image's bytes; empty (hence broken) where the cell is empty."""
        cell = self._images[index][self._column]
        if cell is None:
            return b""
        if cell["bytes"] is not None:
            return bytes(cell["bytes"])
        return Path(cell["path"]).read_bytes() if cell["path"] else b""


def _load(source: DatasetSource) -> tuple[Any, str | None]:
    """The split as a `datasets.Dataset`, and the hub commit it came from."""
    folder = Path(source.path).expanduser()
    local = folder.is_dir()
    if not local and (folder.is_absolute() or source.path.startswith((".", "~")) or source.path.count("/") > 1):
        raise TaskError(f"{source.path}: no such folder; give a data set's folder or its name on the hub")
    datasets = _quiet_library()
    try:
        if local and any((folder / name).is_file() for name in ("state.json", "dataset_dict.json")):
            return _saved(datasets.load_from_disk(str(folder)), source), None
        builder = datasets.load_dataset_builder(
            str(folder.resolve()) if local else source.path, source.config, revision=source.revision
        )
        builder.download_and_prepare()
        return builder.as_dataset(split=source.split), None if local else commit_in(builder.base_path, builder.hash)
    except (ValueError, OSError, datasets.exceptions.DatasetsError) as error:
        raise TaskError(
            f"{source.path}[{source.split}]: cannot be loaded ({error}); {_advice(source, local)}"
        ) from error


def _advice(source: DatasetSource, local: bool) -> str:
    if local:
        return "expected Parquet or Arrow files, or what save_to_disk wrote, with this split"
    arguments = ", ".join(repr(value) for value in (source.path, source.config) if value is not None)
    command = f"from datasets import load_dataset; load_dataset({arguments}, split={source.split!r})"
    return f'download it once: HF_HUB_OFFLINE=0 python -c "{command}"'


def _quiet_library() -> Any:
    """`datasets` without telemetry, download counts and progress bars, unless the user's environment asks for them."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "0")
    import datasets
    import datasets.exceptions

    datasets.disable_progress_bars()
    return datasets


def _saved(loaded: Any, source: DatasetSource) -> Any:
    """The wanted split of what `save_to_disk` wrote: a dictionary of splits, or one of them."""
    if isinstance(loaded, dict):
        if source.split not in loaded:
            raise TaskError(f"{source.path}: no split {source.split!r}; found {sorted(loaded)}")
        return loaded[source.split]
    if loaded.split is not None and str(loaded.split) != source.split:
        raise TaskError(f"{source.path}: no split {source.split!r}; it was saved as {str(loaded.split)!r} alone")
    return loaded


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


def _undecoded(table: Any, column: str, title: str) -> Any:
    """The image column alone, as bytes and path."""
    import datasets

    images = table.select_columns([column]).with_format(None)
    try:
        return images.cast_column(column, datasets.Image(decode=False))
    except (ValueError, TypeError, NotImplementedError) as error:
        raise TaskError(f"{title}: column {column!r} holds {table.features[column]}, expected images") from error


def commit_in(*origins: object) -> str | None:
    """The first 40-digit commit in any of the texts that say where a data set came from."""
    found = re.search(r"\b[0-9a-f]{40}\b", " ".join(map(str, origins)))
    return found.group() if found else None
