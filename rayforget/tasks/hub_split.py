"""One split of a Hugging Face data set, from a local folder or the hub -> its table and its commit."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import yaml

from rayforget.errors import TaskError
from rayforget.extensions.extras import need
from rayforget.lfs import pointer_within, told

SCRIPT_ADVICE = (
    "the data set is a script, which `datasets` 4 and later do not run: take its Parquet copy where the hub has one "
    "(`revision: refs/convert/parquet`), or write its splits to JSON lines or Parquet once, with an older `datasets`, "
    "and name these files"
)
"""Advice for a data set that is code."""
IS_COMMIT = re.compile(r"\b[0-9a-f]{40}\b")
"""Forty hex digits: a commit, not a branch or tag."""


class HubSplit(Protocol):
    """The fields of a declared source that name a split."""

    @property
    def path(self) -> str:
        """Local folder, or name on the hub."""
        ...

    @property
    def config(self) -> str | None:
        """The data set's configuration, if it has several."""
        ...

    @property
    def split(self) -> str:
        """The data set's own name of the split."""
        ...

    @property
    def revision(self) -> str | None:
        """Commit of a hub data set, or a branch; None takes the newest."""
        ...


def load_split(wanted: HubSplit, *, files: str) -> tuple[Any, str | None]:
    """The split as a `datasets.Dataset`, and the hub commit it came from (None for a local folder).

    Args:
        wanted: the split.
        files: what a local folder should hold, for messages: `Parquet or Arrow files`.

    Raises:
        TaskError: there is no such folder, split or data set, or it is not at the commit that was asked for; if it is
            only on the hub, the message says how to download it.
    """
    folder = Path(wanted.path).expanduser()
    local = folder.is_dir()
    if not local and (folder.is_absolute() or wanted.path.startswith((".", "~")) or wanted.path.count("/") > 1):
        raise TaskError(f"{wanted.path}: no such folder; give a data set's folder or its name on the hub")
    datasets = quiet_library()
    try:
        if local and any((folder / name).is_file() for name in ("state.json", "dataset_dict.json")):
            table = _saved(datasets.load_from_disk(str(folder)), wanted)
            _refuse_elsewhere((file["filename"] for file in table.cache_files), wanted, folder)
            return table, None
        if local:
            _refuse_elsewhere(_declared_files(folder), wanted, folder)
        builder = datasets.load_dataset_builder(
            str(folder.resolve()) if local else wanted.path, wanted.config, revision=wanted.revision
        )
        own = builder.config.data_files or {}
        _refuse_elsewhere((str(file) for files in own.values() for file in files), wanted, folder if local else None)
        builder.download_and_prepare()
        table = builder.as_dataset(split=wanted.split)
    except (MemoryError, KeyboardInterrupt, TaskError):
        raise
    except Exception as error:  # a README's YAML, an Arrow file, a server: each has errors of its own
        if is_script(error):
            raise TaskError(f"{title(wanted)}: {error}; {SCRIPT_ADVICE}") from error
        if isinstance(error, RuntimeError):
            raise
        if local and (pointer := pointer_within(folder)) is not None:
            raise TaskError(told(pointer, "the data")) from error
        advice = f"expected {files}, or what save_to_disk wrote, with this split"
        if not local:
            advice = download_command(wanted.path, wanted.config, split=wanted.split, revision=wanted.revision)
        why = " ".join(str(error).split())
        raise TaskError(f"{title(wanted)}: cannot be loaded ({type(error).__name__}: {why}); {advice}") from error
    commit = None if local else commit_in(builder.base_path, builder.hash)
    check_revision(wanted, commit)
    return table, commit


def _declared_files(folder: Path) -> Iterator[str]:
    """Every file, pattern and folder that a data set's README names as its data; the library asks servers for some of
    them before it says which they are."""
    from datasets import config
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCard, DatasetCardData

    heads = []
    if (folder / config.REPOCARD_FILENAME).is_file():
        heads.append(DatasetCard.load(folder / config.REPOCARD_FILENAME).data)
    if (folder / config.REPOYAML_FILENAME).is_file():
        text = (folder / config.REPOYAML_FILENAME).read_text(encoding="utf-8")
        heads.append(DatasetCardData(**(yaml.safe_load(text) or {})))
    for head in heads:
        for settings in MetadataConfigs.from_dataset_card_data(head).values():
            yield from _texts([settings.get("data_files"), settings.get("data_dir")])


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(each)


def _refuse_elsewhere(files: Iterable[str], wanted: HubSplit, folder: Path | None) -> None:
    """Refuses files that a data set names and that are not its own.

    Args:
        files: as the library names them, after `::` the archive that holds one.
        wanted: the split.
        folder: the data set's; None for one of the hub, which may read no file of this machine.

    Raises:
        TaskError: one lies elsewhere.
    """
    for file in files:
        place = file.rpartition("::")[2]
        scheme, of, path = place.rpartition("://")
        if folder is None:
            inside = of != "" and scheme not in ("file", "local")
        else:
            whole = os.path.abspath(folder / (path if scheme in ("file", "local") else place))
            roots = (os.path.abspath(folder), folder.resolve())
            inside = (not of or scheme in ("file", "local")) and any(Path(whole).is_relative_to(root) for root in roots)
        if not inside:
            raise TaskError(
                f"{title(wanted)}: the data set names {file!r} as its data; expected files in its own folder, since it "
                "may read no others: copy them there, and mend its README.md or state.json"
            )


def download_command(path: str, config: str | None, *, split: str | None = None, revision: str | None = None) -> str:
    """The command that downloads a data set of the hub to this machine."""
    arguments = [repr(value) for value in (path, config) if value is not None]
    arguments += [f"{name}={value!r}" for name, value in (("split", split), ("revision", revision)) if value]
    command = f"from datasets import load_dataset; load_dataset({', '.join(arguments)})"
    return f'download it once: HF_HUB_OFFLINE=0 python -c "{command}"'


def is_script(error: Exception) -> bool:
    """Whether the library refused a data set because it is a script."""
    return isinstance(error, RuntimeError) and "scripts are no longer supported" in str(error)


def quiet_library() -> Any:
    """`datasets` without telemetry, download counts and progress bars, unless the environment asks for them."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "0")
    need("datasets", "a source of kind: dataset")
    import datasets
    import datasets.exceptions

    datasets.disable_progress_bars()
    return datasets


def check_revision(wanted: HubSplit, found: str | None) -> None:
    """Refuses a commit other than the requested one: without a network the library uses whatever it has.

    Raises:
        TaskError: the message names both commits.
    """
    asked = wanted.revision or ""
    if found is not None and IS_COMMIT.fullmatch(asked) and found != asked:
        raise TaskError(
            f"{title(wanted)}: found commit {found} in the cache, expected {asked} (revision); "
            f"{download_command(wanted.path, wanted.config, split=wanted.split, revision=asked)}"
        )


def commit_in(*origins: object) -> str | None:
    """The first 40-digit commit in any of the texts that describe a data set's origin."""
    found = IS_COMMIT.search(" ".join(map(str, origins)))
    return found.group() if found else None


def title(wanted: HubSplit) -> str:
    """The split's name in messages."""
    return f"{wanted.path}[{wanted.split}]"


def _saved(loaded: Any, wanted: HubSplit) -> Any:
    """The wanted split from the output of `save_to_disk`: a dictionary of splits, or one of them."""
    if isinstance(loaded, dict):
        if wanted.split not in loaded:
            raise TaskError(f"{wanted.path}: no split {wanted.split!r}; found {sorted(loaded)}")
        return loaded[wanted.split]
    if loaded.split is not None and str(loaded.split) != wanted.split:
        raise TaskError(f"{wanted.path}: no split {wanted.split!r}; it was saved as {str(loaded.split)!r} alone")
    return loaded
