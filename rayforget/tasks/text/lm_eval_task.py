"""A declared lm-eval task -> lm-eval's task object over its data set or local files, and explicit documents.

lm-eval would choose the split itself (test, if there is one); here a split is asked for by name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rayforget.errors import TaskError
from rayforget.heartbeat import beat
from rayforget.space.paths import is_yaml
from rayforget.space.tasks.lm_eval import LmEvalSplit, LmEvalTask
from rayforget.tasks.hub_split import IS_COMMIT, commit_in, download_command, quiet_library
from rayforget.tasks.images.contents import content_hash
from rayforget.tasks.keys import at_key
from rayforget.tasks.text.documents import Document, canonical
from rayforget.tasks.text.lm_eval_greedy import require_greedy
from rayforget.tasks.text.lm_eval_groups import Group, read_group, tasks_of_tag
from rayforget.tasks.text.lm_eval_index import file_of_group, file_of_task, task_config, without_lists
from rayforget.tasks.text.lm_eval_made import constructed
from rayforget.tasks.text.lm_eval_settings import require_examples, settled, with_shots
from rayforget.tasks.text.own_yaml import is_group, own_config
from rayforget.tasks.text.rows import json_lines

FEWSHOT_SEED = 1234
"""lm-eval's default."""
_NUMBERS = frozenset({"_id", "id", "idx", "ind", "index", "key", "qid", "question_id", "source_id", "uid"})
"""Fields that only number an item; documents that differ in nothing else are the same."""
_WORD = re.compile(r"(?<![.\w])\w+")
"""In a template; behind a dot it is a part of another, or a function (`label.index(answer)`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """lm-eval's task objects: one, or those of a group."""

    members: Mapping[str, Any]
    """lm-eval's name of each task -> its object."""
    by_size: bool = True
    """Whether every item of a group weighs the same, or else every task."""

    @property
    def is_group(self) -> bool:
        """Whether there are several."""
        return len(self.members) > 1


def load_lm_eval_task(name: str, task: LmEvalTask) -> Loaded:
    """lm-eval's task objects; with `data_files` the hub is never asked.

    Raises:
        TaskError: at `tasks.NAME.task` or `tasks.NAME.data_files`; for a data set that is missing the message names the
            command that downloads it.
    """
    with at_key(f"tasks.{name}.task"):
        found = _config(task)
    if not isinstance(found, Group):
        return Loaded(members={str(found["task"]): _load(name, task, found)})
    if any("{task}" not in str(path) for path in task.data_files.values()) and len(found.members) > 1:
        raise TaskError(
            f"tasks.{name}.data_files: found one file for {len(found.members)} tasks of {found.name}; write {{task}} "
            "where their names differ, e.g. data/{task}.jsonl"
        )
    members = {}
    for number, (member, config) in enumerate(found.members.items()):
        beat(f"load tasks of {found.name}", number, len(found.members))
        members[member] = _load(name, task, config)
    return Loaded(members=members, by_size=found.by_size)


def _config(task: LmEvalTask) -> dict[str, Any] | Group:
    """The configuration of the task, or the group."""
    if is_yaml(task.task):
        path = Path(task.task)
        config = own_config(path, trusted=task.trust_code)
        return read_group(path, task.metric) if is_group(config) else without_lists(config)
    if file_of_task(task.task) is None and (path_of_group := file_of_group(task.task)) is not None:
        return read_group(path_of_group, task.metric)
    if file_of_task(task.task) is None and (tasks := tasks_of_tag(task.task)):
        shown = f"{', '.join(tasks[:3])}{f' and {len(tasks) - 3} more' if len(tasks) > 3 else ''}"
        raise TaskError(
            f"lm-eval's {task.task} is a tag, a list of tasks without a score of its own ({shown}); declare them one "
            f"by one, or write a group of your own: `group: mine`, `task: [{task.task}]`, and an aggregate_metric_list"
        )
    return task_config(task.task)


def _load(name: str, task: LmEvalTask, config: dict[str, Any]) -> Any:
    with at_key(f"tasks.{name}.task"):
        config = without_lists(config)
        require_greedy(config["task"], config)
    with at_key(f"tasks.{name}.num_fewshot"):
        config = with_shots(config, task)
    with at_key(f"tasks.{name}.data_files"):
        places = {split: str(path).replace("{task}", config["task"]) for split, path in task.data_files.items()}
        data = {split: _local(Path(path)) for split, path in places.items()} or None
        config = settled(config, task, data)
    with at_key(f"tasks.{name}.task"):
        loaded = constructed(config, data)
        if "class" in config:  # as lm-eval does it, since a class makes its configuration itself
            loaded.set_config("num_fewshot", config.get("num_fewshot"))
        loaded.set_fewshot_seed(seed=FEWSHOT_SEED)
    with at_key(f"tasks.{name}.num_fewshot"):
        require_examples(loaded)
    return loaded


def lm_eval_documents(loaded: Loaded, task: LmEvalTask, split: LmEvalSplit) -> tuple[Document, ...]:
    """The documents of one of the task's own splits, as the task processes them; the first `limit` if there is one.

    Those of a group follow one another, task by task.

    A document's content is all its fields except those that only number it.

    Raises:
        TaskError: the task has no such split, or it is empty.
    """
    return tuple(
        replace(document, part=name if loaded.is_group else "")
        for name, member in loaded.members.items()
        for document in _documents(name, member, task, split)
    )


def _documents(name: str, loaded: Any, task: LmEvalTask, split: LmEvalSplit) -> list[Document]:
    docs = {"train": loaded.training_docs, "validation": loaded.validation_docs, "test": loaded.test_docs}[split]()
    if docs is None:
        raise TaskError(f"lm-eval's task {name} has no split {split}; found {_own_splits(loaded)}")
    numbers = _NUMBERS - (_read_by(loaded.config) if is_yaml(task.task) else set())
    documents = []
    for index, values in enumerate(docs):
        if task.limit is not None and index >= task.limit:
            break
        content = canonical({key: value for key, value in values.items() if key not in numbers})
        documents.append(Document(values=values, content=content_hash(content), name=f"{name}[{split}] #{index}"))
    if not documents:
        raise TaskError(f"lm-eval's task {name} has no documents in split {split}; expected at least one")
    return documents


def _read_by(config: Any) -> set[str]:
    """The words by which a task file's templates and functions may read a document: `key` may be the right answer."""
    found: set[str] = set()
    for part in (config.doc_to_text, config.doc_to_target, config.doc_to_choice):
        if isinstance(part, str):
            found |= set(_WORD.findall(part))
        found |= {word for word in getattr(getattr(part, "__code__", None), "co_consts", ()) if isinstance(word, str)}
    return found


def commit_taken(loaded: Loaded, task: LmEvalTask) -> str | None:
    """The hub commit of a task's data set; None for local files, and for a group with several data sets.

    Raises:
        TaskError: the commit is not the one that was asked for, which happens without a network.
    """
    commits = {_commit(name, member, task) for name, member in loaded.members.items()}
    return commits.pop() if len(commits) == 1 else None


def _commit(name: str, loaded: Any, task: LmEvalTask) -> str | None:
    commit = None if task.data_files else commit_in(*(place for part in _parts(loaded) for place in _origins(part)))
    asked = task.revision or ""
    if commit is not None and IS_COMMIT.fullmatch(asked) and commit != asked:
        config = loaded.config
        command = download_command(str(config.dataset_path), config.dataset_name, revision=asked)
        raise TaskError(f"lm-eval's task {name}: found commit {commit} in the cache, expected {asked}; {command}")
    return commit


def _parts(loaded: Any) -> list[Any]:
    data = getattr(loaded, "dataset", None)
    return list(data.values()) if isinstance(data, dict) else [data]


def _origins(part: Any) -> list[str]:
    """The library's account of where a part of a data set came from: the cached files' folder, or the download."""
    files = [str(file["filename"]) for file in getattr(part, "cache_files", None) or ()]
    return [*files, *(getattr(getattr(part, "info", None), "download_checksums", None) or ())]


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


def _own_splits(loaded: Any) -> str:
    has = {
        "train": loaded.has_training_docs(),
        "validation": loaded.has_validation_docs(),
        "test": loaded.has_test_docs(),
    }
    return ", ".join(split for split, there in has.items() if there) or "none"
