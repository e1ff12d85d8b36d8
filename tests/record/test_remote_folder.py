"""An object exists whole or not at all, whatever happens to its writer, and passing server errors are waited out."""

import io
import logging
import threading
from collections.abc import Callable

import boto3
import pytest
import torch
from pyarrow import fs

from rayforget.errors import RecordError, StorageError
from rayforget.heartbeat import heard_by
from rayforget.record.storage import remote_folder
from rayforget.record.storage.store import Store

PART = 5 * 2**20
"""S3's smallest part."""


@pytest.fixture
def small_parts(monkeypatch) -> None:
    monkeypatch.setattr(remote_folder, "_PART_BYTES", PART)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch) -> None:
    monkeypatch.setattr("rayforget.record.storage.patience._FIRST_WAIT_S", 0.02)


@pytest.fixture
def client(s3_port):
    return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{s3_port}", region_name="us-east-1")


def keys(client, bucket: str) -> list[str]:
    return [found["Key"] for found in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


@pytest.mark.parametrize("written", [0, 1, PART + 1, 3 * PART])
def test_a_writer_that_raises_midway_leaves_what_was_there(s3, client, bucket, small_parts, written):
    s3.write("old", b"old")

    def write(stream) -> None:
        for start in range(0, written, PART):
            stream.write(b"x" * min(PART, written - start))
        raise ValueError("midway")

    for name in ("old", "new"):
        with pytest.raises(ValueError, match="midway"):
            s3.write_by(name, write)
    assert keys(client, bucket) == ["runs/old"]
    assert s3.read("old") == b"old"
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)  # aborted, so that nobody pays for the parts


@pytest.mark.parametrize("size", [1, PART - 1, PART, PART + 1, 2 * PART + 7])
def test_what_takes_several_parts_is_read_as_it_was_written(s3, small_parts, size):
    data = bytes(range(251)) * (size // 251 + 1)
    s3.write("x", data[:size])
    assert s3.size("x") == size
    assert s3.read("x") == data[:size]


@pytest.mark.parametrize("numbers", [1, 1001, 3_000_000])
def test_what_torch_writes_is_what_it_reads(s3, small_parts, numbers):
    """torch hands the stream memory that it refills for what comes next."""
    weights = {f"w{n}": torch.rand(numbers) for n in range(3)}
    s3.write_by("w.pt", lambda stream: torch.save(weights, stream))
    local = io.BytesIO()
    torch.save(weights, local)
    assert s3.read("w.pt") == local.getvalue()


def test_one_of_many_writers_of_an_object_wins_and_the_others_are_told(s3_uri):
    barrier = threading.Barrier(6)
    won: list[int] = []
    told: list[str] = []

    def write(number: int) -> None:
        store = Store.open(s3_uri)
        barrier.wait()
        try:
            store.write_once("x", bytes([number]) * 1000)
        except RecordError as error:
            told.append(str(error))
        else:
            won.append(number)

    run_all([lambda number=number: write(number) for number in range(6)])
    (winner,) = won
    assert Store.open(s3_uri).read("x") == bytes([winner]) * 1000
    assert all("exists with other content" in text for text in told)
    assert len(told) == 5


def run_all(acts: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_the_empty_objects_with_which_pyarrow_marks_folders_are_no_files_and_go_with_them(s3, s3_port, client, bucket):
    arrow = fs.S3FileSystem(endpoint_override=f"127.0.0.1:{s3_port}", scheme="http", region="us-east-1")
    arrow.create_dir(f"{bucket}/runs/one/ray/deep", recursive=True)
    assert "runs/one/ray/deep/" in keys(client, bucket)
    assert not s3.exists("one")
    s3.write("one/budget/30", b"")
    s3.write("one/f", b"1")
    assert s3.exists("one")
    assert s3.exists("one/budget")
    assert s3.files("one") == {"f": 1}
    assert s3.files("one/ray") == {}
    assert s3.files("one/budget") == {"30": 0}
    s3.write("other", b"2")
    s3.delete("one")
    assert [key for key in keys(client, bucket) if "one" in key] == []
    assert s3.files() == {"other": 1}


def test_a_location_opens_the_same_folder_and_is_shown_without_its_settings(s3, bucket):
    s3.write("a/b/c", b"1")
    inner = s3.within("a").within("b")
    assert Store.open(inner.location).read("c") == b"1"
    assert str(inner) == f"s3://{bucket}/runs/a/b"


@pytest.mark.parametrize("status", [503, 500, 429, 0])
def test_a_server_that_refuses_for_a_while_is_waited_for_and_people_hear_of_it_twice(
    s3_behind_door, door, caplog, status
):
    beats: list[str] = []
    door.refusals = [status] * 9  # more than the client's own retries
    with heard_by(lambda stage, done, total: beats.append(stage)), caplog.at_level(logging.INFO, "rayforget"):
        s3_behind_door.write("a", b"1")
    assert s3_behind_door.read("a") == b"1"
    begun, over = [record.getMessage() for record in caplog.records]
    assert "/runs/a cannot be written (" in begun
    assert begun.endswith("trying again for up to 20 s")
    assert over.startswith("the storage answers again, after ")
    assert set(beats) == {"waiting for the storage"}


@pytest.mark.parametrize("act", ["write", "write_once", "read", "files", "exists", "delete"])
def test_every_request_is_made_again(s3_behind_door, door, act):
    s3_behind_door.write("a", b"1")
    door.refusals = [503] * 5
    calls = {
        "write": lambda: s3_behind_door.write("b", b"1"),
        "write_once": lambda: s3_behind_door.write_once("b", b"1"),
        "read": lambda: s3_behind_door.read("a"),
        "files": lambda: s3_behind_door.files(),
        "exists": lambda: s3_behind_door.exists("a"),
        "delete": lambda: s3_behind_door.delete("a"),
    }
    calls[act]()
    assert door.refusals == []
    assert s3_behind_door.files() == {"a": 1, "b": 1} if "write" in act else True
    assert s3_behind_door.exists("a") == (act != "delete")


def test_a_writer_is_called_again_from_the_start(s3_behind_door, door, small_parts):
    calls = []

    def write(stream) -> None:
        calls.append(1)
        for _ in range(3):
            stream.write(b"x" * PART)
        if len(calls) == 1:
            door.refusals = [503] * 12

    s3_behind_door.write_by("a", write)
    assert len(calls) > 1
    assert s3_behind_door.read("a") == b"x" * (3 * PART)


@pytest.mark.parametrize(("status", "most_requests"), [(403, 1), (401, 1), (404, 1), (400, 1), (501, 4), (507, 4)])
def test_what_will_not_pass_is_refused_at_once(s3_behind_door, door, caplog, status, most_requests):
    door.refusals = [status] * 100
    with pytest.raises(StorageError, match=r"runs/a cannot be written") as caught:
        s3_behind_door.write("a", b"1")
    assert not caught.value.transient
    assert len(door.seen) <= most_requests  # the client's own retries
    assert caplog.records == []


def test_what_does_not_pass_in_time_is_refused(s3_behind_door, door):
    door.refusals = [503] * 1000
    with pytest.raises(
        StorageError, match=r"answered 503 Service Unavailable, SlowDown, for [12] s\); see to"
    ) as caught:
        s3_behind_door.waiting(1).write("a", b"1")
    assert caught.value.transient


def test_a_server_that_is_not_there_is_transient_and_named(bucket, caplog):
    store = Store.open(f"s3://{bucket}/runs?scheme=http&endpoint_override=127.0.0.1:1").waiting(0)
    with pytest.raises(StorageError, match="no connection to the server") as caught:
        store.read("a")
    assert caught.value.transient


def test_an_answer_that_is_lost_does_not_make_a_record_contradict_itself(s3_behind_door, door):
    door.lost_answers = 2
    s3_behind_door.write_once("a", b"one")
    assert door.lost_answers == 0
    assert s3_behind_door.read("a") == b"one"


def test_a_bucket_that_is_not_there_is_said_at_once(s3_port, bucket):
    store = Store.open(f"s3://{bucket}-not/runs?scheme=http&endpoint_override=127.0.0.1:{s3_port}")
    with pytest.raises(StorageError, match="NoSuchBucket"):
        store.write("a", b"1")
    with pytest.raises(StorageError, match="NoSuchBucket"):
        store.files()
