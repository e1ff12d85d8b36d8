"""A task or group file of the user's own -> its configuration, and a hash of all that decides its requests."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from rayforget.errors import TaskError


def own_config(path: Path, *, trusted: bool) -> dict[str, Any]:
    """The file's configuration as lm-eval has it, with what it includes, its functions resolved.

    Raises:
        TaskError: the file is missing, is no task of lm-eval's, or is not trusted: lm-eval fills in its templates
            outside a sandbox, and runs its functions.
    """
    if not path.is_file():
        raise TaskError(f"found {path}, and there is no such file; expected a task file as lm-eval reads them")
    if not trusted:
        raise TaskError(
            f"the templates and functions of {path} run as code; read it, and write `trust_code: true` if you trust it"
        )
    from lm_eval.tasks._yaml_loader import load_yaml

    try:
        config = load_yaml(path, resolve_func=True)
    except Exception as error:  # the file's own Python runs here
        raise TaskError(f"{path} cannot be read ({type(error).__name__}: {error}); correct it") from error
    if not is_group(config) and not isinstance(config.get("task"), str):
        raise TaskError(f"{path} has no `task:` with a name; expected a task file as lm-eval reads them")
    if config.get("unsafe_code"):
        raise TaskError(f"{path} runs the code that a model writes, which is not supported")
    return dict(config)


def is_group(config: Mapping[str, Any]) -> bool:
    """Whether lm-eval takes a configuration for a group's."""
    return "group" in config and "class" not in config


def own_identity(path: Path) -> str:
    """32 hex digits over the file, the files that it includes, and the Python files beside each and beside the
    functions that they name; of a group also over the files in its folder, among which are its tasks."""
    from lm_eval.tasks._yaml_loader import load_yaml

    path = path.resolve()
    read = set(_files(path))
    if is_group(load_yaml(path, resolve_func=False)):
        read |= {file for each in path.parent.rglob("*.yaml") for file in _files(each.resolve())}
    digest = sha256()
    for file in sorted(read):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:32]


def _files(path: Path) -> Iterator[Path]:
    from lm_eval.tasks._yaml_loader import load_yaml

    yield path
    yield from path.parent.glob("*.py")
    config = load_yaml(path, resolve_func=False, recursive=False)
    yield from _modules(config, path.parent)
    included = config.get("include", ())
    for name in included if isinstance(included, list) else filter(None, [included]):
        yield from _files((path.parent / name).resolve())


def _modules(value: Any, folder: Path) -> Iterator[Path]:
    """The files of the folders below whose functions a configuration names: `!function parts.judge.right` is
    FOLDER/parts/judge.py, and reads as FOLDER/parts.judge.right."""
    if isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _modules(each, folder)
    elif isinstance(value, str) and value.startswith(f"{folder}/"):
        module = value.removeprefix(f"{folder}/").rpartition(".")[0].replace(".", "/")
        file = folder / f"{module}.py"
        if module and file.is_file():
            yield from file.parent.glob("*.py")
