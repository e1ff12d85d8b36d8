"""A loaded space -> the files and folders that it names, and whether a cluster elsewhere has them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rayforget.errors import SpaceError
from rayforget.space.file.document import At, dotted
from rayforget.space.file.load import LoadedSpace
from rayforget.space.file.secrets import has_written_secret, may_hold_secret, secret_variables, sounds_secret
from rayforget.space.file.variables import fill, names_in
from rayforget.space.foundation import rules_of
from rayforget.space.paths import LOCAL_FOLDER, is_uri, is_yaml
from rayforget.space.tasks.any_task import Task
from rayforget.space.tasks.data import DatasetSource, FolderSource, Source, WebdatasetSource
from rayforget.space.tasks.lm_eval import LmEvalTask
from rayforget.space.tasks.text import CsvSource, JsonLinesSource, ParquetSource, TextDatasetSource, TextSource

_DATABASE_FILE = "sqlite:///"
_OF_A_MACHINE = frozenset(
    {"HOME", "HOSTNAME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "TERM", "TMPDIR", "USER", "VIRTUAL_ENV"}
)
"""Variables that every machine sets for itself."""
KEYS_IN_STORAGE = (
    "storage.path: found a key in it, and what is sent with a job stays in Ray's logs: leave it out, since each node "
    "finds its own credentials"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPlace:
    """A path in a machine's file system, named by a space."""

    at: At
    """The key with the path."""
    written: str
    """The path as in the space file, its variables filled in; the default if the file sets none."""


def local_places(loaded: LoadedSpace) -> Iterator[LocalPlace]:
    """Every path that is neither a URI nor a hub name, including each node's own cache folder."""
    space = loaded.space
    places = rules_of(space.foundation.kind).local_places(space.foundation)
    found: list[tuple[At, str]] = [(("foundation", key), value) for key, value in places]
    for name, task in space.tasks.items():
        for at, source in _sources(task):
            if place := _place(source):
                found.append((("tasks", name, *at, place[0]), place[1]))
        if isinstance(task, LmEvalTask):
            if is_yaml(task.task):
                found.append((("tasks", name, "task"), task.task))
            found += [(("tasks", name, "data_files", split), str(path)) for split, path in task.data_files.items()]
    if space.resources.cache is not None:
        found.append((("resources", "cache"), str(space.resources.cache)))
    if not is_uri(space.storage.path):
        found.append((("storage", "path"), space.storage.path))
    if (uri := fill(space.tracking.uri or "", os.environ)) and (not is_uri(uri) or uri.startswith(_DATABASE_FILE)):
        found.append((("tracking", "uri"), uri))
    for at, value in found:
        written = value if at == ("tracking", "uri") else _written(loaded.document.tree, at) or value
        yield LocalPlace(at=at, written=written.removeprefix(LOCAL_FOLDER).removeprefix(_DATABASE_FILE))


def check_elsewhere(loaded: LoadedSpace, *, paths_on_cluster: bool) -> None:
    """Refuses a space that cannot run on another machine as it does here.

    Args:
        loaded: the space.
        paths_on_cluster: the user states that every node of the cluster has these paths; they must then be absolute,
            since relative ones would refer to another folder.

    Raises:
        SpaceError: one line for each such path.
    """
    lines = []
    if has_written_secret(loaded.space.storage.path):
        lines.append(f"{loaded.document.where(('storage',)).partition('=')[0]}: {KEYS_IN_STORAGE}")
    for place in local_places(loaded):
        if os.path.isabs(place.written) and (paths_on_cluster or place.at == ("resources", "cache")):
            continue  # each node makes its cache if it is missing
        if paths_on_cluster or place.at == ("resources", "cache"):
            text = "is relative, and the cluster works in another folder: write an absolute path"
        elif place.at == ("storage", "path"):
            text = "is a folder of this machine, which the cluster cannot reach: give a URI, --storage s3://BUCKET/runs"
        elif place.at == ("tracking", "uri"):
            text = "is a file of this machine, which the cluster cannot reach: leave it out, or name a server"
        else:
            text = "exists only on this machine: use a name on the hub, or copy the data to every node"
        lines.append(f"{loaded.document.where(place.at)}: {dotted(place.at)}: {place.written} {text}")
    if any(KEYS_IN_STORAGE not in line for line in lines) and not paths_on_cluster:
        lines.append("If every node of the cluster has these very paths (a shared disk), add --paths-on-cluster.")
    if lines:
        raise SpaceError(*lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """The environment variables that a space reads here and needs there."""

    sent: Mapping[str, str]
    """Those that go with the job, with their values."""
    withheld: tuple[str, ...]
    """Names of those that may hold a secret: Ray writes what goes with a job into its logs."""


def variables_for(loaded: LoadedSpace, environment: Mapping[str, str]) -> Variables:
    """The variables that the space reads, except those that every machine sets for itself."""
    read = names_in([loaded.text, *loaded.overrides]) - _OF_A_MACHINE
    found = {name: environment[name] for name in sorted(read) if environment.get(name)}
    secret = secret_variables(loaded.space.tracking.uri or "")
    withheld = {
        name for name, value in found.items() if name in secret or sounds_secret(name) or may_hold_secret(value)
    }
    return Variables(
        sent={name: value for name, value in found.items() if name not in withheld}, withheld=tuple(sorted(withheld))
    )


def _sources(task: Task) -> Iterator[tuple[At, Source | TextSource]]:
    if isinstance(task, LmEvalTask):
        return
    for split, source in (("train", task.train), ("val", task.val), ("test", task.test)):
        if source is not None:
            yield (split,), source
    if task.cut is not None:
        yield ("cut", "source"), task.cut.source


def _place(source: Source | TextSource) -> tuple[str, str] | None:
    """The key and the value of the source's path, if it has one on a machine."""
    match source:
        case FolderSource() | JsonLinesSource() | CsvSource() | ParquetSource():
            return None if is_uri(source.path) else ("path", source.path)
        case WebdatasetSource():
            return None if is_uri(source.shards) else ("shards", source.shards)
        case DatasetSource() | TextDatasetSource() if os.path.isabs(source.path):
            return "path", source.path  # made absolute if it is a folder, see paths.py
        case _:
            return None


def _written(tree: object, at: Sequence[str | int]) -> str | None:
    for key in at:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree if isinstance(tree, str) else None
