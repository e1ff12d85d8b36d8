"""Data at a URI -> a copy on this node, which is read as any local data are.

A node fetches what a source names once: the folder, the file, or the shards of its pattern. The copy lies below
`staged/PLACE/VERSION` in the node's cache. VERSION stands for the names, sizes and e-tags that the store lists: changed
data are another copy, and a sweep that still reads the old one is not disturbed. What two versions share is
fetched once.
"""

import fnmatch
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from rayforget.errors import RecordError, StorageError, TaskError
from rayforget.heartbeat import beat
from rayforget.record.storage.folder import Entry
from rayforget.record.storage.store import Store
from rayforget.space.file.secrets import shown
from rayforget.space.frozen import Frozen
from rayforget.space.paths import is_uri
from rayforget.space.tasks.any_task import Task
from rayforget.space.tasks.data import Cut, WebdatasetSource
from rayforget.space.tasks.text import TextCut
from rayforget.tasks.images.braces import expand_braces, num_expansions
from rayforget.tasks.images.node_lock import node_lock

logger = logging.getLogger(__name__)
_DOWNLOADS = 8
"""Files fetched at a time."""
_MOST_FILES = 2_000_000
_RETRY_S = 600.0
_MANIFEST = ".manifest.json"
"""Says, of a copy that is whole, each file's bytes and SHA-256."""
_MD5 = re.compile(r'"?([0-9a-f]{32})"?')
"""An e-tag that is the MD5 of the object: of one that was uploaded in a single part."""


def staged(tasks: Mapping[str, Task], cache: Path | None) -> dict[str, Task]:
    """The tasks with every URI of their sources replaced by the path of this node's copy, which is fetched if need be.

    Args:
        tasks: by name.
        cache: this node's cache folder; None refuses URIs.

    Raises:
        TaskError: nothing is there, or what came is not what the store had said; the message starts with the key in
            the space file.
    """
    return {name: _staged_task(f"tasks.{name}", task, cache) for name, task in tasks.items()}


def _staged_task(key: str, task: Task, cache: Path | None) -> Task:
    changes: dict[str, Any] = {}
    for split in ("train", "val", "test"):
        source = getattr(task, split, None)
        if source is not None and (local := _staged_source(f"{key}.{split}", source, cache)) is not source:
            changes[split] = local
    cut = getattr(task, "cut", None)
    if (
        isinstance(cut, Cut | TextCut)
        and (local := _staged_source(f"{key}.cut.source", cut.source, cache)) is not cut.source
    ):
        changes["cut"] = cut.model_copy(update={"source": local})
    return task.model_copy(update=changes) if changes else task


def _staged_source(key: str, source: Frozen, cache: Path | None) -> Frozen:
    field = "shards" if isinstance(source, WebdatasetSource) else "path"
    place = getattr(source, field, None)
    if not isinstance(place, str) or not is_uri(place):
        return source
    try:
        return source.model_copy(update={field: str(_fetched(place, cache))})
    except (RecordError, StorageError, OSError) as error:
        raise TaskError(f"{key}: {shown(place)} cannot be fetched: {error}") from error
    except TaskError as error:
        raise TaskError(f"{key}: {error}") from error


def _fetched(place: str, cache: Path | None) -> Path:
    """The local path that stands for a URI: of the folder, of the file, or of the pattern in its folder."""
    if cache is None:
        raise TaskError(f"found {shown(place)}, and there is no cache folder to fetch it to")
    address, _, query = place.partition("?")
    parent, _, last = address.rstrip("/").rpartition("/")
    if not parent.partition("://")[2]:
        raise TaskError(f"found the bucket {shown(place)} alone; name a folder in it")
    store = Store.open(parent + (f"?{query}" if query else "")).waiting(_RETRY_S)
    here = cache / "staged" / _digest(place)
    beat(f"look for {shown(place)}")
    files = _files_of(last, store)
    if not files:
        raise TaskError(f"nothing is at {shown(place)}; correct the path, or the range of its braces")
    with node_lock(here.with_suffix(".lock"), f"fetching {shown(place)}"):
        return _copy(store, files, here, shown(place)) / last


def _files_of(last: str, store: Store) -> dict[str, Entry]:
    """The files that a URI's last part names, by their paths below the part before it: a file, all that is in a folder,
    or what a pattern matches."""
    if "{" not in last and not any(letter in last for letter in "*["):
        file = [(last, entry) for entry in store.entries() if entry.name == last and entry.size is not None]
        return dict(file or _tree(store, last))
    if num_expansions(last) > _MOST_FILES:
        raise TaskError(f"found {num_expansions(last)} files in the braces, expected at most {_MOST_FILES}")
    there = {entry.name: entry for entry in store.entries() if entry.size is not None}
    wanted: dict[str, Entry] = {}
    for name in expand_braces(last):
        matching = fnmatch.filter(there, name) if any(letter in name for letter in "*[") else [name]
        if missing := [one for one in matching if one not in there]:
            raise TaskError(f"there is no {missing[0]} in {store}; correct the path or the range")
        wanted.update({one: there[one] for one in matching})
    return wanted


def _tree(store: Store, folder: str) -> Iterator[tuple[str, Entry]]:
    for entry in store.entries(folder):
        if entry.name in ("", ".", ".."):
            raise TaskError(f"{store}/{folder} has an object named {entry.name!r}, which is no name of a file")
        beat(f"list {store}")
        path = f"{folder}/{entry.name}"
        if entry.size is None:
            yield from _tree(store, path)
        else:
            yield path, entry


def _copy(store: Store, files: Mapping[str, Entry], here: Path, place: str) -> Path:
    """This node's folder with these files, whole; what an earlier version has of them is linked rather than fetched."""
    marks = {name: [entry.size, entry.stamp] for name, entry in files.items()}
    folder = here / _digest(json.dumps(marks, sort_keys=True))
    if _is_whole(folder, files):
        return folder
    earlier = _earlier(here)
    kept, missing = {}, {}
    for name, entry in files.items():
        known = earlier.get((name, entry.size or 0, entry.stamp)) if entry.stamp else None
        if known is not None and _link(known[0], folder / name):
            kept[name] = known[1]
        else:
            missing[name] = entry
    total = sum(entry.size or 0 for entry in missing.values())
    logger.warning("fetching %s: %d files, %.1f MB, into %s", place, len(missing), total / 1e6, folder)
    done = 0
    with ThreadPoolExecutor(_DOWNLOADS) as pool:
        running = {pool.submit(_fetch, store, name, entry, folder / name): name for name, entry in missing.items()}
        try:
            for future in as_completed(running):
                name = running[future]
                kept[name] = future.result()
                done += missing[name].size or 0
                beat(f"fetch {place}", done // 10**6, total // 10**6)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    manifest = {name: {"mark": marks[name], "sha256": kept[name]} for name in files}
    _write(folder / _MANIFEST, [json.dumps(manifest).encode()])
    return folder


def _fetch(store: Store, name: str, entry: Entry, path: Path) -> str:
    """Fetches one file; the SHA-256 of what came, which has the bytes and, where the e-tag tells, the MD5 it should."""
    sha256, md5 = store.read_by(name, lambda chunks: _write(path, chunks))
    if (size := path.stat().st_size) != entry.size:
        raise TaskError(f"{store}/{name}: {size} bytes came, expected {entry.size}; was it changed just now? try again")
    expected = _MD5.fullmatch(entry.stamp or "")
    if expected is not None and md5 != expected[1]:
        raise TaskError(f"{store}/{name}: what came has the MD5 {md5}, expected {expected[1]}; try again")
    return sha256


def _write(path: Path, chunks: Iterable[bytes]) -> tuple[str, str]:
    """Writes a file, whole or not at all; its SHA-256 and MD5."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    unfinished = path.with_name(f".{path.name}.part")
    with unfinished.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            sha256.update(chunk)
            md5.update(chunk)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    return sha256.hexdigest(), md5.hexdigest()


def _is_whole(folder: Path, files: Mapping[str, Entry]) -> bool:
    """Whether the copy was completed, and nobody has shortened or taken away any of its files since."""
    if not (folder / _MANIFEST).is_file():
        return False
    try:
        return all((folder / name).stat().st_size == entry.size for name, entry in files.items())
    except OSError:
        return False


def _earlier(here: Path) -> dict[tuple[str, int, str], tuple[Path, str]]:
    """What whole copies of other versions have: (name, bytes, e-tag) -> the file and its SHA-256."""
    found = {}
    for manifest in here.glob(f"*/{_MANIFEST}"):
        for name, known in json.loads(manifest.read_text()).items():
            size, stamp = known["mark"]
            path = manifest.parent / name
            if path.is_file() and path.stat().st_size == size:
                found[name, size, stamp] = (path, known["sha256"])
    return found


def _link(known: Path, path: Path) -> bool:
    """Makes a second name of a file; False where the file system has none, or there is one already."""
    if path.exists():
        path.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(known, path)
    except OSError:
        return False
    return True


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
