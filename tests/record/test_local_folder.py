"""Files of a disk appear whole and stay, and a disk that refuses in the middle of a file is reported as such."""

import errno
import os
import resource
import threading
from pathlib import Path

import pytest
import torch

from rayforget.errors import StorageError
from rayforget.record.storage.patience import Patience, is_passing, storage_error
from rayforget.record.storage.store import Store


def test_a_disk_that_refuses_in_the_middle_of_torchs_writing_is_a_storage_error(tmp_path):
    """torch then raises a RuntimeError of its own, which would be blamed on the recipe."""
    store, soft_and_hard = Store.open(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, soft_and_hard[1]))
    try:
        with pytest.raises(StorageError, match=r"w\.pt cannot be written \(File too large\)"):
            store.write_by("w.pt", lambda stream: torch.save(torch.zeros(1_000_000), stream))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, soft_and_hard)
    assert os.listdir(tmp_path) == []


def test_bytes_are_on_the_disk_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    done: list[str] = []

    def noting(word, act):
        def noted(*arguments, **options):
            result = act(*arguments, **options)
            target = os.readlink(f"/proc/self/fd/{arguments[0]}") if word == "sync" else ""
            done.append(f"{word} {'folder' if os.path.isdir(target) else 'file'}" if target else word)
            return result

        return noted

    for word, name in (("sync", "fsync"), ("rename", "replace"), ("link", "link")):
        monkeypatch.setattr(os, name, noting(word, getattr(os, name)))
    store = Store.open(tmp_path)
    store.write("a", b"1")
    assert done == ["sync file", "rename", "sync folder"]
    done.clear()
    store.write_once("b/c/d", b"1")
    assert done == ["sync folder", "sync folder", "sync file", "link", "sync folder"]  # b and c are new names too


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path):
    store = Store.open(tmp_path)
    sizes = (1, 300_001)
    store.write("x", b"\0" * sizes[0])
    ended = threading.Event()

    def write() -> None:
        for number in range(60):
            store.write("x", bytes([number]) * sizes[number % 2])
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not ended.is_set():
        data = store.read("x")
        assert len(data) in sizes
        assert len(set(data)) == 1
        assert set(store.files()) == {"x"}
    writer.join()


@pytest.mark.parametrize(
    ("number", "passing"),
    [
        (errno.ESTALE, True),
        (errno.ETIMEDOUT, True),
        (errno.ENOSPC, False),
        (errno.EACCES, False),
        (errno.ENOENT, False),
    ],
)
def test_a_full_disk_a_closed_door_and_a_missing_file_do_not_pass(number, passing):
    error = OSError(number, os.strerror(number))
    assert is_passing(error) is passing
    assert storage_error("x cannot be written", error).transient is passing


def test_threads_that_wait_together_say_it_once(caplog):
    patience, barrier = Patience(30), threading.Barrier(8)

    def wait() -> None:
        refusals = iter([OSError(errno.ESTALE, "stale")] * 2)
        barrier.wait()

        def ask() -> None:
            for error in refusals:
                raise error

        patience.answer("x cannot be read", ask)

    threads = [threading.Thread(target=wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    begun, over = [record.getMessage() for record in caplog.records]
    assert begun == "x cannot be read (stale); trying again for up to 30 s"
    assert over.startswith("the storage answers again")


def test_a_link_is_deleted_and_not_what_it_points_to(tmp_path: Path):
    store = Store.open(tmp_path / "runs")
    (tmp_path / "kept").mkdir()
    store.write("a", b"1")
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "kept")
    store.delete("link")
    assert (tmp_path / "kept").is_dir()
    assert store.folders() == []
