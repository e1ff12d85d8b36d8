"""Data at a URI are the data that were put there, fetched once, and again only where they were changed."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from s3_server import ENVIRONMENT, Door, make_bucket, s3_server
from tiny_space import save_images

from rayforget.errors import SpaceError, TaskError
from rayforget.record.storage.folder import Entry
from rayforget.record.storage.store import Store
from rayforget.space.file.elsewhere import check_elsewhere
from rayforget.space.file.load import load_text
from rayforget.space.tasks.any_task import Task
from rayforget.tasks import staging
from rayforget.tasks.images.contents import items_hash
from rayforget.tasks.opening import open_tasks

Tree = dict[str, Any]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Pictures in two splits, at `there/photos`."""
    for seed, split in enumerate(("val", "test")):
        save_images(tmp_path / "there" / "photos" / split, 2, seed=seed)
    return tmp_path / "there" / "photos"


def tasks_of(**sources: Tree) -> Mapping[str, Task]:
    tree = {"kind": "zero_shot", "role": "generality", "group": "d", "templates": ["a {}"], **sources}
    return {"photo": TypeAdapter(Task).validate_python(tree)}


def folders(where: str) -> Mapping[str, Task]:
    return tasks_of(**{split: {"kind": "folder", "path": f"{where}/{split}"} for split in ("val", "test")})


def contents(tasks: Mapping[str, Task], cache: Path | None) -> dict[str, str]:
    opened = open_tasks(tasks, cache=cache)["photo"]
    return {
        split: items_hash(items.source.content_hashes(items.indices), items.source.labels[items.indices])
        for split, items in opened.splits.items()
    }


def fetched(caplog: pytest.LogCaptureFixture) -> list[int]:
    """How many files were fetched, each time."""
    return [record.args[1] for record in caplog.records if "fetching" in record.message]


def test_a_folder_is_what_it_is_there_and_fetched_once(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    at_uri, cache = folders(f"file://{data}"), tmp_path / "cache"
    assert contents(at_uri, cache) == contents(folders(str(data)), None)
    assert fetched(caplog) == [6, 6]
    caplog.clear()
    assert contents(at_uri, cache) == contents(folders(str(data)), None)
    assert fetched(caplog) == []


def test_a_copy_that_was_shortened_or_never_completed_is_made_again(data: Path, tmp_path: Path) -> None:
    at_uri, cache = folders(f"file://{data}"), tmp_path / "cache"
    expected = contents(at_uri, cache)
    one, *_ = sorted(cache.rglob("0.png"))
    os.truncate(one, 5)
    assert contents(at_uri, cache) == expected
    for manifest in cache.rglob(".manifest.json"):
        manifest.unlink()
    one.unlink()
    assert contents(at_uri, cache) == expected


@pytest.mark.parametrize(
    ("place", "said"),
    [("vall", "nothing is at file://"), ("val-{0..2}.tar", "there is no val-0.tar"), ("v*.tar", "nothing is at")],
)
def test_what_is_not_there_is_named_with_its_key(data: Path, tmp_path: Path, place: str, said: str) -> None:
    source = {"kind": "webdataset", "shards": f"file://{data}/{place}"}
    with pytest.raises(TaskError, match=re.escape(f"tasks.photo.cut.source: {said}")):
        open_tasks(tasks_of(cut={"source": source}), cache=tmp_path / "cache")


def test_what_came_otherwise_than_said_is_refused(data: Path, tmp_path: Path) -> None:
    store, name = Store.open(data), "val/red/0.png"
    size = (data / name).stat().st_size
    with pytest.raises(TaskError, match=f"{size} bytes came, expected {size + 1}"):
        staging._fetch(store, name, Entry(name="0.png", size=size + 1), tmp_path / "0.png")
    with pytest.raises(TaskError, match="expected 00000000000000000000000000000000"):
        staging._fetch(store, name, Entry(name="0.png", size=size, stamp='"' + "0" * 32 + '"'), tmp_path / "0.png")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("https://example.org/photos", "expected a path or one of"),
        ("s3://b/photos?access_key_id=A&secret_access_key=B", "found a key in the address s3://b/photos, "),
        ("pipe:cat x", "expected a path or one of"),
    ],
)
def test_addresses_without_a_listing_or_with_a_key_are_refused(path: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said) as refused:
        tasks_of(val={"kind": "folder", "path": path})
    assert "secret_access_key=B" not in str(refused.value.errors()[0]["msg"])


def test_a_cluster_takes_a_space_whose_data_lie_at_uris() -> None:
    text = """
name: far
foundation: {kind: clip, model: builtin}
tasks:
  own:
    kind: zero_shot
    role: speciality
    templates: ["a {}"]
    train: {kind: webdataset, shards: "s3://b/train-{000..003}.tar"}
    val: {kind: folder, path: s3://b/val}
    test: {kind: dataset, path: s3://b/test, split: test}
  other:
    kind: zero_shot
    role: generality
    group: d
    val: {kind: folder, path: /here}
    test: {kind: folder, path: s3://b/other}
methods: {full: {}}
plain: {seeds: 1}
search: {trainings: 1, seed: 0}
recipe: {learning_rate: 1e-3, epochs: 1, batch_size: 4}
storage: {path: s3://b/runs}
"""
    with pytest.raises(SpaceError) as refused:
        check_elsewhere(load_text(text, Path("far.yaml")), paths_on_cluster=False)
    assert [line for line in refused.value.args if "tasks." in line] == [
        "far.yaml:16: tasks.other.val.path: /here exists only on this machine: use a name on the hub, or copy the data "
        "to every node"
    ]


@pytest.mark.slow
def test_shards_and_tables_come_from_s3_past_an_overloaded_server_and_only_what_was_changed_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import tarfile

    save_images(tmp_path / "photos", 2, seed=0)
    pictures = sorted((tmp_path / "photos").rglob("*.png"))
    (tmp_path / "shards").mkdir()
    for number in range(3):
        with tarfile.open(tmp_path / "shards" / f"val-{number}.tar", "w") as tar:
            for index, path in enumerate(pictures[number::3]):
                tar.add(path, f"{number}{index}.png")
                label = tmp_path / "label.cls"
                label.write_text(str(index))
                tar.add(label, f"{number}{index}.cls")
    row = {"instruction": "say a", "output": "a"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with s3_server() as port, Door(port) as door:
        make_bucket(port, "bucket")
        query = f"?scheme=http&endpoint_override=127.0.0.1:{door.port}"
        bucket = Store.open(f"s3://bucket/data{query}")
        for path in (tmp_path / "shards").iterdir():
            bucket.write(f"shards/{path.name}", path.read_bytes())
        bucket.write("rows.jsonl", (tmp_path / "rows.jsonl").read_bytes())
        door.rule = lambda number: 503 if number % 3 == 0 else None

        def shards(where: str) -> Mapping[str, Task]:
            source = {"kind": "webdataset", "image": "png", "shards": where}
            return tasks_of(cut={"source": source}, classes=["one", "two"])

        there = shards(f"s3://bucket/data/shards/val-{{0..2}}.tar{query}")
        here = shards(f"{tmp_path}/shards/val-{{0..2}}.tar")
        before = contents(there, tmp_path / "cache")
        assert before == contents(here, None)
        copy = staging.staged(there, tmp_path / "cache")

        changed = (tmp_path / "shards" / "val-1.tar").read_bytes().replace(b"IDAT", b"IDAt", 1)
        (tmp_path / "shards" / "val-1.tar").write_bytes(changed)
        bucket.write("shards/val-1.tar", changed)
        caplog.clear()
        after = contents(there, tmp_path / "cache")
        assert after == contents(here, None) != before
        assert fetched(caplog) == [1]
        assert contents(copy, None) == before  # who reads the old copy keeps it

        train = {"kind": "jsonl", "path": f"s3://bucket/data/rows.jsonl{query}"}
        rows = TypeAdapter(Task).validate_python({"kind": "instruction", "role": "speciality", "train": train})
        opened = open_tasks({"chat": rows}, cache=tmp_path / "cache")["chat"]
        assert [document.answer for document in opened.splits["train"].documents] == ["a"]
