"""A task's settled configuration -> lm-eval's task object over its data set or data in memory, or what is wrong."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rayforget.errors import TaskError
from rayforget.tasks.hub_split import SCRIPT_ADVICE, download_command, is_script, quiet_library
from rayforget.tasks.text.foreign import in_words, told_of

_OF_FILES = frozenset({"arrow", "csv", "json", "pandas", "parquet", "text"})
"""What `datasets` reads local files by; no name of a data set."""


def constructed(config: dict[str, Any], data: Mapping[str, Any] | None) -> Any:
    """lm-eval's task object; with `data` over these splits, else over its own data set.

    Raises:
        TaskError: the data set cannot be had, or the configuration or the data do not fit; says what to do.
    """
    task = f"lm-eval's task {config['task']}"
    if data is not None:
        try:
            with hushed():
                return task_over(config, data)
        except Exception as error:  # lm-eval tries the task's prompt on one document
            text, known = f"{task} cannot use these files ({in_words(error)})", config.get("dataset_path")
            is_named = known is not None and known not in _OF_FILES
            advice = f"expected the columns of {known}" if is_named else "correct the task's file or its data"
            raise TaskError(f"{text}; {advice}") from error
    quiet_library()
    with hushed(), told_of(task, "be set up"):
        return _made(_loading(config), config)


def task_over(config: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
    """lm-eval's task with this configuration over data sets in memory, by split name."""

    class OverData(_kind(config)):  # type: ignore[misc]
        def download(self, *_: Any, **__: Any) -> None:
            self.dataset = dict(data)

    return _made(OverData, dict(config))


def _loading(config: Mapping[str, Any]) -> Any:
    """The task's class, whose data set is told of where it cannot be loaded."""

    class Loading(_kind(config)):  # type: ignore[misc]
        def download(self, *args: Any, **kwargs: Any) -> None:
            try:
                super().download(*args, **kwargs)
            except Exception as error:  # of the library, of the network, or of a function that makes the data
                raise TaskError(_no_data(config, error)) from error

    return Loading


def _no_data(config: Mapping[str, Any], error: Exception) -> str:
    task, path = f"lm-eval's task {config['task']}", str(config.get("dataset_path"))
    if is_script(error):
        return f"{task}: {error}; {SCRIPT_ADVICE} under `data_files:`"
    if config.get("custom_dataset") is not None:
        return f"{task}: its function custom_dataset failed ({in_words(error)}); correct it"
    if path in _OF_FILES:
        return f"{task}: its files cannot be read ({in_words(error)}); correct dataset_kwargs in its file"
    command = download_command(path, config.get("dataset_name"))
    said = f"{task}: its data set cannot be loaded ({error}); {command}"
    return f"{said}, or name local files under `data_files:`"


def _kind(config: Mapping[str, Any]) -> Any:
    from lm_eval.api.task import ConfigurableTask

    return config.get("class", ConfigurableTask)


def _made(kind: Any, config: dict[str, Any]) -> Any:
    from lm_eval.tasks._factory import _ctor_accepts_config

    made = kind(config=config) if _ctor_accepts_config(kind) else kind()
    if "class" in config:  # as lm-eval names it
        made.config.task = config["task"]
    return made


@contextmanager
def hushed() -> Iterator[None]:
    """Silences lm-eval's warnings about its own tasks' reliance on defaults."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
