"""One of lm-eval's groups -> the configurations of its tasks, and how their scores become one."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rayforget.errors import TaskError
from rayforget.heartbeat import beat
from rayforget.tasks.text.lm_eval_index import file_of_group, file_of_task, lm_eval_tasks, read_config

_TAG = re.compile(rb"^[\"']?tag[\"']?:(.*(?:\r?\n[ \t]*-[ \t].*)*)", re.MULTILINE)
_WORD = re.compile(rb"[\w.:+-]+")
Overrides = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group whose tasks are scored together."""

    name: str
    members: Mapping[str, dict[str, Any]]
    """Its tasks in lm-eval's order, those of groups within it too: name -> configuration."""
    by_size: bool
    """Whether every item weighs the same, or else every task."""


def read_group(path: Path, metric: str) -> Group:
    """The group of a file, put together as lm-eval's `TaskFactory` does it.

    Args:
        path: the group's file.
        metric: the metric whose mean is asked for; `likelihood` is always taken over all items.

    Raises:
        TaskError: lm-eval gives no mean of this metric over the group, or a task cannot be read.
    """
    from lm_eval.tasks._factory import GROUP_FIELD_NAMES

    config = read_config(path)
    name = str(config["group"])
    by_size = metric == "likelihood" or _weighs_by_size(config, metric)
    registry = _Registry(path.parent)
    overrides = {key: value for key, value in config.items() if key not in GROUP_FIELD_NAMES}
    members: dict[str, dict[str, Any]] = {}
    for member in _members(name, config, overrides, registry):
        members.setdefault(str(member["task"]), member)
    if not members:
        raise TaskError(f"lm-eval's group {name} has no tasks; name another, or tasks")
    return Group(name=name, members=members, by_size=by_size)


def _weighs_by_size(config: Mapping[str, Any], metric: str) -> bool:
    from lm_eval.config.group import GroupConfig

    given = GroupConfig(group=config["group"], aggregate_metric_list=config.get("aggregate_metric_list"))
    listed: list[Any] = given.aggregate_metric_list or []
    wanted, _, of = metric.rpartition(",")
    for entry in listed:
        if entry.metric == metric or (entry.metric == wanted and of in (entry.filter_list or [of])):
            if entry.aggregation != "mean":
                raise TaskError(
                    f"lm-eval's group {given.group} has its own function for {metric}; only means are taken"
                )
            return bool(entry.weight_by_size)
    has = ", ".join(entry.metric for entry in listed) or "none"
    raise TaskError(
        f"lm-eval gives no mean of {metric} over the group {given.group}, but of: {has}; take one of them, or declare "
        "its tasks one by one"
    )


def tasks_of_tag(tag: str) -> tuple[str, ...]:
    """The names of lm-eval's tasks that have this tag, sorted; empty if it is none."""
    from lm_eval.tasks._index import Kind

    entries = [entry for folder in _tags().get(tag, ()) if (entry := _index(folder).get(tag)) is not None]
    found = {name for entry in entries if entry.kind is Kind.TAG for name in entry.tags}
    return tuple(sorted(found))


class _Registry:
    """Names -> files, without reading all of lm-eval's ten thousand: first those beside the group. As in lm-eval, what
    lies beside a group of the user's own outranks lm-eval's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def group(self, name: str) -> Any | None:
        """lm-eval's entry of a group; None if there is none of this name."""
        entry = _index(self._folder).get(name)
        if entry is None and (path := file_of_group(name)) is not None:
            entry = _index(path.parent).get(name)
        return entry

    def entry(self, name: str) -> Any | None:
        """lm-eval's entry of a task, group or tag; None if there is none of this name."""
        from lm_eval.tasks._index import Kind

        entry = _index(self._folder).get(name)
        if entry is not None and entry.kind is not Kind.TAG:
            return entry
        if entry is not None and not self._folder.is_relative_to(lm_eval_tasks()):
            return entry
        if entry is not None and not _is_used_elsewhere(name, self._folder):
            return entry
        if entry is None and (path := file_of_task(name) or file_of_group(name)) is not None:
            return _index(path.parent).get(name)
        if entry is not None or _is_used_elsewhere(name, self._folder):
            return _index(lm_eval_tasks()).get(name)
        return None


@cache
def _index(folder: Path) -> Mapping[str, Any]:
    from lm_eval.tasks._index import TaskIndex

    beat(f"read {folder}")
    found: dict[str, Any] = TaskIndex.build([folder])
    return found


def _is_used_elsewhere(tag: str, folder: Path) -> bool:
    """Whether a task of lm-eval's outside the folder has the tag."""
    return any(not place.is_relative_to(folder) for place in _tags().get(tag, ()))


@cache
def _tags() -> Mapping[str, set[Path]]:
    """Tag -> folders of lm-eval's with a task file, or a part of one, that has it; found by searching their text."""
    found: dict[str, set[Path]] = {}
    for path in lm_eval_tasks().rglob("*yaml"):
        for match in _TAG.finditer(path.read_bytes()) if path.is_file() else ():
            for word in _WORD.findall(match.group(1)):
                found.setdefault(word.decode(), set()).add(path.parent)
    return found


def _members(
    group: str, config: Mapping[str, Any], overrides: Overrides, registry: _Registry
) -> Iterator[dict[str, Any]]:
    """Configurations of a group's tasks; what a group sets itself outranks its tasks' files."""
    listed = config.get("task") or []
    for item in [listed] if isinstance(listed, str) else listed:
        if isinstance(item, dict) and "group" in item:
            own = {key: value for key, value in item.items() if key != "group"}
            known = registry.group(item["group"])
            if known is None:
                yield from _members(f"{group}::{item['group']}", item, overrides, registry)
            else:
                yield from _of_entry(known, {**overrides, **own}, registry)
            continue
        name, changed = (item, overrides) if isinstance(item, str) else (item.get("task"), {**overrides, **item})
        known = registry.entry(str(name))
        if known is None:
            if isinstance(item, str):
                raise TaskError(f"the group {group} names {name}, which is no task, group or tag of lm-eval's")
            yield {**changed, "task": f"{group}::{name}"}
        else:
            yield from _of_entry(known, changed, registry)


def _of_entry(entry: Any, overrides: Overrides, registry: _Registry) -> Iterator[dict[str, Any]]:
    from lm_eval.tasks._factory import GROUP_FIELD_NAMES
    from lm_eval.tasks._index import Kind

    if entry.kind is Kind.TAG:
        for name in sorted(entry.tags):
            yield from _of_entry(registry.entry(name), {**overrides, "task": name}, registry)
        return
    config = read_config(entry.yaml_path)
    if entry.kind is Kind.GROUP:
        own = {key: value for key, value in config.items() if key not in GROUP_FIELD_NAMES}
        nearby = _Registry(entry.yaml_path.parent)
        yield from _members(entry.name, config, {**own, **overrides}, nearby)
    else:
        yield {**config, **overrides, "task": entry.name}
