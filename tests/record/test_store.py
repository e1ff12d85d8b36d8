"""A file of the store exists whole or not at all, and files of the record never change."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from rayforget.errors import RecordError, StorageError
from rayforget.record.storage.remote_folder import RemoteFolder
from rayforget.record.storage.store import Store


@pytest.fixture(params=["local", "memory", "s3"])
def store(request, tmp_path):
    """The same folder on the local disk, in an object store in memory, and on a server."""
    if request.param == "local":
        return Store.open(tmp_path / "runs")
    if request.param == "memory":
        return Store(RemoteFolder(MemoryStore(), "runs", "memory://bucket"))
    return request.getfixturevalue("s3")


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 5000])
def test_what_is_written_is_read(store, data):
    for write in (store.write, store.write_once):
        name = f"a/b/{write.__name__}.bin"
        write(name, data)
        assert store.read(name) == data
        assert store.size(name) == len(data)
        assert store.exists(name)
        assert store.exists("a")
        assert store.exists("a/b")


def test_a_file_that_is_not_there_is_named(store):
    assert not store.exists("a/b")
    assert store.size("a/b") == 0
    with pytest.raises(RecordError, match=r"no file a/b in .*runs"):
        store.read("a/b")
    assert (store.files("a"), store.folders("a"), store.folders()) == ({}, [], [])
    store.delete("a/b")


def test_write_once_is_idempotent_and_refuses_other_content(store):
    store.write_once("x", b"one")
    store.write_once("x", b"one")
    with pytest.raises(RecordError, match="exists with other content"):
        store.write_once("x", b"two")
    assert store.read("x") == b"one"
    store.write("x", b"three")
    assert store.read("x") == b"three"


def test_listing_is_sorted_and_knows_files_from_folders(store):
    for name in ("f/c", "f/a", "f/b/d", "g"):
        store.write(name, b"12")
    assert list(store.files("f").items()) == [("a", 2), ("c", 2)]
    assert store.folders("f") == ["b"]
    assert store.within("f").folders() == ["b"]
    assert store.folders() == ["f"]


def test_delete_takes_files_and_folders(store):
    for name in ("f/c", "f/b/d"):
        store.write(name, b"1")
    store.delete("f/c")
    assert store.files("f") == {}
    store.delete("f")
    assert not store.exists("f")


def test_unfinished_files_are_not_listed_and_can_be_cleared(tmp_path):
    store = Store.open(tmp_path)
    store.write("f/a", b"1")
    store.write("f/.writing-a-123", b"half")
    assert list(store.files("f")) == ["a"]
    store.delete_unfinished()
    assert not store.exists("f/.writing-a-123")
    assert store.exists("f/a")


@pytest.mark.parametrize("name", ["", "/etc/x", "../x", "a/../../x"])
def test_names_stay_inside_the_folder(store, name):
    with pytest.raises(RecordError, match="no name inside"):
        store.write(name, b"")


def test_a_relative_location_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store.open("runs")
    monkeypatch.chdir("/")
    store.write("a", b"1")
    assert (tmp_path / "runs" / "a").read_bytes() == b"1"
    assert Store.open((tmp_path / "runs").as_uri()).read("a") == b"1"
    assert store.local == tmp_path / "runs"


@pytest.mark.parametrize(
    ("act", "what"),
    [
        (lambda store: store.write("a/b", b""), "a/b cannot be written"),
        (lambda store: store.write_by("a/b/c", lambda stream: None), "a/b/c cannot be written"),
        (lambda store: store.write_once("a/b", b""), "a/b cannot be written"),
        (lambda store: store.write("folder", b""), "folder cannot be written"),
        (lambda store: store.read("a/b"), "a/b cannot be read"),
        (lambda store: store.files("a"), "a cannot be listed"),
    ],
)
def test_what_the_storage_refuses_is_one_line_that_names_it_and_why(tmp_path, act, what):
    store = Store.open(tmp_path)
    store.write("a", b"a file in the way")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match=rf"^\S+/{what} \(.+\); see to the storage"):
        act(store)
    assert sorted(os.listdir(tmp_path)) == ["a", "folder"]


def test_the_whole_disk_can_be_a_store():
    store = Store.open("/")
    assert str(store) == "/"
    assert set(store.folders()) == {path.name for path in Path("/").iterdir() if path.is_dir()}


def test_an_unknown_kind_of_storage_is_an_error():
    with pytest.raises(RecordError, match=r"expected a local folder, s3://"):
        Store.open("gopher://x/y")


def test_one_of_many_writers_wins_and_the_others_are_told(tmp_path):
    store = Store.open(tmp_path)
    barrier = threading.Barrier(8)
    refused: list[int] = []

    def write(number: int) -> None:
        barrier.wait()
        for round_number in range(20):
            try:
                store.write_once(f"x{round_number}", bytes([number]) * 1000)
            except RecordError:
                refused.append(round_number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for round_number in range(20):
        assert len(set(store.read(f"x{round_number}"))) == 1
        assert store.size(f"x{round_number}") == 1000
        assert refused.count(round_number) == 7
    assert sorted(os.listdir(tmp_path)) == sorted(f"x{n}" for n in range(20))


def test_many_writers_of_the_same_content_all_succeed(tmp_path):
    store = Store.open(tmp_path)
    errors: list[BaseException] = []

    def write() -> None:
        try:
            for number in range(20):
                store.write_once(f"x{number}", b"same")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(os.listdir(tmp_path)) == 20


def test_a_disk_without_hard_links_is_written_all_the_same(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    store = Store.open(tmp_path)
    store.write_once("x", b"one")
    store.write_once("x", b"one")
    with pytest.raises(RecordError):
        store.write_once("x", b"two")
    assert os.listdir(tmp_path) == ["x"]


def test_a_writer_killed_at_any_moment_leaves_only_whole_files(tmp_path):
    script = (
        "import sys\nfrom rayforget.record.storage.store import Store\n"
        "store = Store.open(sys.argv[1])\nprint('go', flush=True)\n"
        "for n in range(100000): store.write_once(f'{n:06d}', bytes([n % 251]) * 300_000)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"go\n"
    while len(list(tmp_path.iterdir())) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    store = Store.open(tmp_path)
    written = store.files()
    assert written
    for name in written:
        assert store.read(name) == bytes([int(name) % 251]) * 300_000
    store.delete_unfinished()
    assert sorted(os.listdir(tmp_path)) == sorted(written)


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = Store.open(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.write_once("x", b"one")
    assert os.listdir(tmp_path) == []
