"""A declared lm-eval task -> lm-eval's task object over its data set or local files, and explicit documents.

lm-eval would choose the split itself (test, if there is one); here a split is asked for by name.
"""

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rayforget.errors import TaskError
from rayforget.space.lm_eval import LmEvalSplit, LmEvalTask
from rayforget.space.paths import is_yaml
from rayforget.tasks.hub_split import (
    IS_COMMIT,
    SCRIPT_ADVICE,
    commit_in,
    download_command,
    is_script,
    quiet_library,
)
from rayforget.tasks.images.contents import content_hash
from rayforget.tasks.keys import at_key
from rayforget.tasks.text.documents import Document, canonical
from rayforget.tasks.text.lm_eval_index import task_config
from rayforget.tasks.text.own_yaml import own_config
from rayforget.tasks.text.rows import json_lines

FEWSHOT_SEED = 1234
"""lm-eval's default."""
_SPLITS: dict[LmEvalSplit, str] = {"train": "training_split", "validation": "validation_split", "test": "test_split"}
_NUMBERS = frozenset({"_id", "id", "idx", "ind", "index", "key", "qid", "question_id", "source_id", "uid"})
"""Fields that only number an item; documents that differ in nothing else are the same."""


def load_lm_eval_task(name: str, task: LmEvalTask) -> Any:
    """lm-eval's task object; with `data_files` the hub is never asked.

    Raises:
        TaskError: at `tasks.NAME.task` or `tasks.NAME.data_files`; for a data set that is missing the message names the
            command that downloads it.
    """
    with at_key(f"tasks.{name}.task"):
        config = own_config(Path(task.task), trusted=task.trust_code) if is_yaml(task.task) else task_config(task.task)
        _require_greedy(task.task, config)
    with at_key(f"tasks.{name}.num_fewshot"):
        config = _with_shots(config, task)
    with at_key(f"tasks.{name}.data_files"):
        data = {split: _local(path) for split, path in task.data_files.items()} or None
        settled = _settled(config, task, data)
    with at_key(f"tasks.{name}.task"):
        loaded = _constructed(settled, data)
        loaded.set_fewshot_seed(seed=FEWSHOT_SEED)
        return loaded


def lm_eval_documents(loaded: Any, task: LmEvalTask, split: LmEvalSplit) -> tuple[Document, ...]:
    """The documents of one of the task's own splits, as the task processes them; the first `limit` if there is one.

    A document's content is all its fields except those that only number it.

    Raises:
        TaskError: the task has no such split, or it is empty.
    """
    docs = {"train": loaded.training_docs, "validation": loaded.validation_docs, "test": loaded.test_docs}[split]()
    if docs is None:
        raise TaskError(f"lm-eval's task {task.task} has no split {split}; found {_own_splits(loaded)}")
    documents = []
    for index, values in enumerate(docs):
        if task.limit is not None and index >= task.limit:
            break
        content = canonical({key: value for key, value in values.items() if key not in _NUMBERS})
        documents.append(Document(values=values, content=content_hash(content), name=f"{task.task}[{split}] #{index}"))
    if not documents:
        raise TaskError(f"lm-eval's task {task.task} has no documents in split {split}; expected at least one")
    return tuple(documents)


def commit_taken(loaded: Any, task: LmEvalTask) -> str | None:
    """The hub commit of a task's data set; None for local files.

    Raises:
        TaskError: the commit is not the one that was asked for, which happens without a network.
    """
    commit = None if task.data_files else commit_in(*(place for part in _parts(loaded) for place in _origins(part)))
    asked = task.revision or ""
    if commit is not None and IS_COMMIT.fullmatch(asked) and commit != asked:
        config = loaded.config
        command = download_command(str(config.dataset_path), config.dataset_name, revision=asked)
        raise TaskError(f"lm-eval's task {task.task}: found commit {commit} in the cache, expected {asked}; {command}")
    return commit


def _parts(loaded: Any) -> list[Any]:
    data = getattr(loaded, "dataset", None)
    return list(data.values()) if isinstance(data, dict) else [data]


def _origins(part: Any) -> list[str]:
    """The library's account of where a part of a data set came from: the cached files' folder, or the download."""
    files = [str(file["filename"]) for file in getattr(part, "cache_files", None) or ()]
    return [*files, *(getattr(getattr(part, "info", None), "download_checksums", None) or ())]


def task_over(config: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
    """lm-eval's task with this configuration over data sets in memory, by split name."""
    from lm_eval.api.task import ConfigurableTask

    base = config.get("class", ConfigurableTask)

    class OverData(base):  # type: ignore[misc, valid-type]
        def download(self, *_: Any, **__: Any) -> None:
            self.dataset = dict(data)

    return OverData(config=dict(config))


def _local(path: Path) -> Any:
    """A file as an in-memory data set, read without the library's builders, which may ask the hub for counts."""
    datasets = quiet_library()
    if path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        try:
            return datasets.Dataset(parquet.read_table(path))
        except (OSError, pyarrow.ArrowException) as error:
            raise TaskError(f"{path}: cannot be read ({error}); expected a Parquet file") from error
    rows = [dict(row.values) for row in json_lines(path)]
    if not rows:
        raise TaskError(f"{path}: no rows; expected at least one")
    return datasets.Dataset.from_list(rows)


def _settled(config: dict[str, Any], task: LmEvalTask, data: Mapping[str, Any] | None) -> dict[str, Any]:
    """The configuration with only the splits that are scored or give examples.

    On making the task, lm-eval reads every split that is named, including all of `train`.
    """
    wanted = {task.cut.split} if task.cut else {split for split in (task.val, task.test) if split}
    shots = int(config.get("num_fewshot") or 0)
    settled = dict(config)
    if task.revision is not None:
        settled["dataset_kwargs"] = {**(config.get("dataset_kwargs") or {}), "revision": task.revision}
    for split, key in _SPLITS.items():
        own = config.get(key)
        if split in wanted:
            if own is None:
                own_splits = ", ".join(known for known, other in _SPLITS.items() if config.get(other)) or "none"
                raise TaskError(f"lm-eval's task {task.task} has no split {split}; found {own_splits}")
            _require_file(task, own, data, why=f"its split {split}")
        elif not shots:
            settled[key] = None
    if not shots:
        settled["fewshot_split"] = None
        settled["fewshot_config"] = None
    else:
        settled |= _examples(config, task, {str(config[_SPLITS[split]]) for split in wanted}, data)
    if not settled.get("validation_split") and not settled.get("test_split"):
        settled["validation_split"] = settled["training_split"]  # lm-eval needs one of the two
    return settled


def _with_shots(config: dict[str, Any], task: LmEvalTask) -> dict[str, Any]:
    """The configuration with the number of examples that the space asks for."""
    if task.num_fewshot is None:
        return config
    if task.num_fewshot and config.get("num_fewshot") == 0:
        raise TaskError(
            f"found {task.num_fewshot}, and lm-eval's task {task.task} is defined without examples, as lm-eval insists "
            "on too: remove it"
        )
    return {**config, "num_fewshot": task.num_fewshot}


def _examples(
    config: Mapping[str, Any], task: LmEvalTask, scored: Collection[str], data: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The settings of a prompt's examples: their split, which must not show an item its own answer."""
    given = config.get("fewshot_config") or {}
    if given.get("samples"):
        changed: dict[str, Any] = {}
    else:
        split = given.get("split") or config.get("fewshot_split")
        split = split or next(filter(None, map(config.get, _SPLITS.values())), None)
        own_test = config.get("test_split")
        if split in scored and split != own_test and own_test is not None:
            raise TaskError(
                f"the examples of lm-eval's task {task.task} come from {split}, which is scored too, so that an item's "
                "prompt could show its answer; score its split test alone (`cut: {split: test}`), or write "
                "num_fewshot: 0"
            )
        if split is not None:
            _require_file(task, split, data, why=f"the {config['num_fewshot']} examples in its prompt")
        # lm-eval leaves an item out of its own examples where these two are the same
        changed = {"fewshot_split": split} if split == own_test else {}
    if data is not None:
        changed |= {key: None for key in _SPLITS.values() if config.get(key) not in data}
    return changed


def _require_file(task: LmEvalTask, split: str, data: Mapping[str, Any] | None, *, why: str) -> None:
    if data is not None and split not in data:
        found = ", ".join(sorted(data))
        raise TaskError(f"found {found}; lm-eval's task {task.task} needs `{split}: FILE` too, for {why}")


def _constructed(config: dict[str, Any], data: Mapping[str, Any] | None) -> Any:
    if data is not None:
        try:
            with _hushed():
                return task_over(config, data)
        except Exception as error:  # lm-eval tries the task's prompt on one document
            text = f"lm-eval's task {config['task']} cannot use these files ({type(error).__name__}: {error})"
            raise TaskError(f"{text}; expected the columns of {config.get('dataset_path')}") from error
    from lm_eval.api.task import ConfigurableTask

    datasets = quiet_library()
    try:
        with _hushed():
            return config.get("class", ConfigurableTask)(config=config)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        if is_script(error):
            raise TaskError(f"lm-eval's task {config['task']}: {error}; {SCRIPT_ADVICE} under `data_files:`") from error
        if isinstance(error, RuntimeError):
            raise
        command = download_command(str(config.get("dataset_path")), config.get("dataset_name"))
        raise TaskError(
            f"lm-eval's task {config['task']}: its data set cannot be loaded ({error}); {command}, or name local files "
            "under `data_files:`"
        ) from error


@contextmanager
def _hushed() -> Iterator[None]:
    """Silences lm-eval's warnings about its own tasks' reliance on defaults."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _require_greedy(name: str, config: Mapping[str, Any]) -> None:
    kwargs: Mapping[str, Any] = config.get("generation_kwargs") or {}
    sampled = kwargs.get("do_sample") or float(kwargs.get("temperature") or 0) > 0
    if sampled or int(config.get("repeats") or 1) > 1:
        raise TaskError(f"lm-eval's task {name} draws its answers at random; only greedy answers are supported")
    if config.get("doc_to_image") or config.get("doc_to_audio"):
        raise TaskError(f"lm-eval's task {name} shows images or plays sounds; only texts are supported")


def _own_splits(loaded: Any) -> str:
    has = {
        "train": loaded.has_training_docs(),
        "validation": loaded.has_validation_docs(),
        "test": loaded.has_test_docs(),
    }
    return ", ".join(split for split, there in has.items() if there) or "none"
