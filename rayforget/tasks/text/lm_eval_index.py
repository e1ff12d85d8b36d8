"""lm-eval's name of a task or group -> its file and configuration, without reading the other ten thousand."""

import importlib.util
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from rayforget.errors import TaskError

_NAME = re.compile(rb"^task:[ \t]*[\"']?([\w.:+-]+)[\"']?[ \t]*(?:#.*)?\r?$", re.MULTILINE)
_GROUP = re.compile(rb"^group:[ \t]*[\"']?([\w.:+-]+)[\"']?[ \t]*(?:#.*)?\r?$", re.MULTILINE)
_DEPTHS = ("*/*.yaml", "*/*/*.yaml", "*/*/*/**/*.yaml")
"""Most tasks lie one folder deep; the seven thousand deeper ones are read only if needed."""
_NLTK = re.compile(r"nltk\.download\(\s*[\"'](\w+)[\"']")
_NLTK_KINDS = ("tokenizers", "corpora", "taggers", "chunkers", "stemmers", "models")


def task_config(name: str) -> dict[str, Any]:
    """The task's configuration as lm-eval has it, with its functions resolved.

    Raises:
        TaskError: there is no such task, or it needs a package or an nltk resource that is missing; the message says
            how to get it.
    """
    path = file_of_task(name)
    if path is None:
        raise TaskError(f"lm-eval knows no task {name!r}; {_instead(name)}")
    return without_lists(read_config(path, name))


def without_lists(config: Mapping[str, Any]) -> dict[str, Any]:
    """A task's configuration without the lists that it is in."""
    return {key: value for key, value in config.items() if key not in ("tag", "group", "task_list")}


def file_of_task(name: str) -> Path | None:
    """The file with lm-eval's task of this name."""
    return next((path for depth in _DEPTHS if (path := _files(depth).get(name))), None)


def file_of_group(name: str) -> Path | None:
    """The file with lm-eval's group of this name."""
    return _groups().get(name)


def read_config(path: Path, name: str | None = None) -> dict[str, Any]:
    """A file of lm-eval's with what it includes and its functions; `name` is the task's in messages."""
    from lm_eval.tasks._yaml_loader import load_yaml

    name = name or path.stem
    # Before its functions are imported: in such tasks they fetch what runs the code.
    if load_yaml(path, resolve_func=False).get("unsafe_code"):
        raise TaskError(f"lm-eval's task {name} runs the code that a model writes, which is not supported")
    _require_nltk(path.parent)
    try:
        return dict(load_yaml(path, resolve_func=True))
    except ModuleNotFoundError as error:
        extra = f'"lm-eval[{name}]"' if name in _extras() else error.name
        raise TaskError(f"lm-eval's task {name} needs the package {error.name}; run: pip install {extra}") from error
    except OSError as error:
        raise TaskError(f"lm-eval's task {name} fetches what is not on this machine ({error})") from error


@cache
def _groups() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(lm_eval_tasks().rglob("*.yaml")):
        for match in _GROUP.finditer(path.read_bytes()):
            found.setdefault(match.group(1).decode(), path)
    return found


@cache
def _files(depth: str) -> dict[str, Path]:
    """The task files of one depth, found by searching their text: lm-eval takes many seconds to parse them all."""
    found: dict[str, Path] = {}
    for path in sorted(lm_eval_tasks().glob(depth)):
        for match in _NAME.finditer(path.read_bytes()):
            found.setdefault(match.group(1).decode(), path)
    return found


@cache
def lm_eval_tasks() -> Path:
    """The folder of lm-eval's own task files."""
    spec = importlib.util.find_spec("lm_eval")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "tasks"


def _instead(name: str) -> str:
    close = get_close_matches(name, {known for depth in _DEPTHS for known in _files(depth)} | set(_groups()), n=3)
    return f"did you mean {' or '.join(close)}?" if close else "`lm-eval ls tasks` lists them"


def _extras() -> list[str]:
    from importlib.metadata import metadata

    return metadata("lm_eval").get_all("Provides-Extra") or []


def _require_nltk(folder: Path) -> None:
    """Refuses a missing resource that a task's own code would download when imported."""
    wanted = {name for path in sorted(folder.glob("*.py")) for name in _NLTK.findall(path.read_text())}
    if not wanted:
        return
    try:
        import nltk
    except ModuleNotFoundError:
        raise TaskError(f'lm-eval\'s tasks in {folder.name} need nltk; run: pip install "lm-eval[ifeval]"') from None
    for name in sorted(wanted):
        if not any(_is_there(nltk, f"{kind}/{name}") for kind in _NLTK_KINDS):
            raise TaskError(f"nltk's resource {name} is not on this machine; run: python -m nltk.downloader {name}")


def _is_there(nltk: Any, place: str) -> bool:
    try:
        nltk.data.find(place)
    except LookupError:
        return False
    return True
