"""A node never trusts the contents that it remembers over what it can tell from the files."""

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rayforget.errors import TaskError
from rayforget.space.tasks.data import FolderSource
from rayforget.tasks.images.contents import content_hash
from rayforget.tasks.images.file_stamps import file_stamp, stamp_of
from rayforget.tasks.images.known_hashes import HashStore, KnownHashes
from rayforget.tasks.images.labelled import LabelledImages
from rayforget.tasks.images.opening import open_source
from rayforget.tasks.images.pixels import pixel_set

HOUR_NS = 3600 * 10**9


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """later() puts the clock forward by an hour, so that files written just now count as old."""
    real = time.time_ns

    def put_on() -> None:
        monkeypatch.setattr(time, "time_ns", lambda: real() + HOUR_NS)

    return put_on


def stamps_of(*numbers: int) -> list[bytes | None]:
    return [stamp_of(str(number).encode()) for number in numbers]


def hashes_of(*numbers: int) -> np.ndarray:
    joined = b"".join(content_hash(str(number).encode()) for number in numbers)
    return np.frombuffer(joined, np.uint8).reshape(-1, 16)


def known(tmp_path: Path, num_items: int = 100, *, writes: bool = True) -> KnownHashes:
    return HashStore(folder=tmp_path / "hashes", writes=writes).of("here", num_items)


@pytest.mark.parametrize("count", [1, 2, 33])
def test_what_was_added_is_found_by_its_stamp_and_nothing_else_is(tmp_path: Path, count: int) -> None:
    numbers = list(range(count))
    known(tmp_path).add(stamps_of(*numbers), hashes_of(*numbers))
    asked = [*reversed(numbers), 777]
    hashes, found = known(tmp_path).look_up([*stamps_of(*asked), None])
    assert found.tolist() == [True] * count + [False, False]
    assert (hashes[:count] == hashes_of(*reversed(numbers))).all()


def test_an_item_without_a_stamp_is_not_kept(tmp_path: Path) -> None:
    known(tmp_path).add([None], hashes_of(1))
    assert not (tmp_path / "hashes").exists()
    known(tmp_path).add([None, *stamps_of(2)], hashes_of(1, 2))
    assert (known(tmp_path).look_up(stamps_of(2))[0] == hashes_of(2)).all()


def test_sets_lie_apart_and_further_items_join_those_that_are_there(tmp_path: Path) -> None:
    known(tmp_path).add(stamps_of(1), hashes_of(1))
    known(tmp_path).add(stamps_of(2), hashes_of(2))
    assert known(tmp_path).look_up(stamps_of(1, 2))[1].all()
    assert not HashStore(folder=tmp_path / "hashes").of("there", 9).look_up(stamps_of(1, 2))[1].any()


def test_entries_are_bounded_and_the_newest_stay(tmp_path: Path) -> None:
    small = known(tmp_path, num_items=3)
    for number in range(20):
        small.add(stamps_of(number), hashes_of(number))
    found = small.look_up(stamps_of(*range(20)))[1]
    assert found.sum() == 6
    assert found[19]
    small.add(stamps_of(*range(100, 106)), hashes_of(*range(100, 106)))
    assert small.look_up(stamps_of(*range(100, 106)))[1].all()
    hashes, found = small.look_up(stamps_of(*range(100, 106)))
    assert (hashes == hashes_of(*range(100, 106))).all()


@pytest.mark.parametrize("place", [0, 60, -1])
def test_a_damaged_file_is_left_out_with_a_note_and_written_anew(
    tmp_path: Path, place: int, caplog: pytest.LogCaptureFixture
) -> None:
    one = known(tmp_path)
    one.add(stamps_of(1, 2), hashes_of(1, 2))
    damaged = bytearray(one.path.read_bytes())
    damaged[place] ^= 1
    one.path.write_bytes(damaged)
    assert not one.look_up(stamps_of(1, 2))[1].any()
    assert "damaged" in caplog.text
    one.path.write_bytes(bytes(damaged[:50]))
    assert not one.look_up(stamps_of(1))[1].any()
    one.add(stamps_of(2), hashes_of(2))
    assert one.look_up(stamps_of(1, 2))[1].tolist() == [False, True]


def test_a_store_that_only_looks_writes_nothing(tmp_path: Path) -> None:
    looking = known(tmp_path, writes=False)
    with looking.one_at_a_time():
        looking.add(stamps_of(1), hashes_of(1))
    looking.forget()
    assert not (tmp_path / "hashes").exists()


def test_a_disk_that_refuses_is_said_and_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "hashes").write_text("a file where the folder should be")
    with known(tmp_path).one_at_a_time():
        known(tmp_path).add(stamps_of(1), hashes_of(1))
    assert "cannot be kept" in caplog.text


def _add_many(folder: Path, first: int) -> None:
    for number in range(first, first + 40):
        known(folder, 1000).add(stamps_of(number), hashes_of(number))


def test_several_processes_write_at_once_and_the_file_stays_whole(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_add_many, args=(tmp_path, 1000 * each)) for each in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    numbers = [1000 * each + place for each in range(3) for place in range(40)]
    hashes, found = known(tmp_path).look_up(stamps_of(*numbers))
    assert found.sum() >= 40  # at least the last writer's own
    assert (hashes[found] == hashes_of(*numbers)[found]).all()
    assert [path.name for path in (tmp_path / "hashes").iterdir()] == [known(tmp_path).path.name]


def test_a_file_that_was_just_written_or_lies_in_the_future_has_no_stamp(tmp_path: Path, later) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"x")
    assert file_stamp(file) is None
    os.utime(file, ns=(0, 0))  # an old modification time, but a new inode time
    assert file_stamp(file) is None
    later()
    assert file_stamp(file) is not None
    os.utime(file, (time.time() + 10**6,) * 2)
    assert file_stamp(file) is None
    assert file_stamp(tmp_path / "nothing") is None


def test_size_time_inode_and_path_are_part_of_a_stamp(tmp_path: Path, later) -> None:
    later()
    file = tmp_path / "a"
    file.write_bytes(b"one")
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    stamps = [file_stamp(file)]
    assert file_stamp(file) == stamps[0]
    file.write_bytes(b"four")
    stamps.append(file_stamp(file))
    file.write_bytes(b"one")
    os.utime(file, ns=times)  # size, modification time and inode as they were
    stamps.append(file_stamp(file))
    other = tmp_path / "b"
    other.write_bytes(b"two")
    os.utime(other, ns=times)
    other.replace(file)
    stamps.append(file_stamp(file))
    file.rename(other)
    stamps.append(file_stamp(other))
    assert None not in stamps
    assert len(set(stamps)) == len(stamps)


def images_in(root: Path, cache: Path) -> LabelledImages:
    images = LabelledImages(open_source(FolderSource(kind="folder", path=root)))
    images.remember_in(HashStore.in_cache(cache))
    return images


def test_a_changed_file_is_read_again_and_its_neighbours_are_not(image_folder, picture, tmp_path, later) -> None:
    root, indices = image_folder("set", {"a": 3}), np.arange(3)
    later()
    first = images_in(root, tmp_path).content_hashes(indices)
    files = sorted(root.glob("*/*"))
    files[1].write_bytes(picture(77))
    os.chmod(files[0], 0o640)  # a new inode time: read again, though the content is the same
    opened: list[str] = []
    again = images_in(root, tmp_path)
    read = again.read
    again._contents._read = lambda index: opened.append(again.name(index)) or read(index)
    second = again.content_hashes(indices)
    assert opened == [str(files[0]), str(files[1])]
    assert (first != second).any(axis=1).tolist() == [False, True, False]
    assert second[1].tobytes() == content_hash(picture(77))


def test_hashes_that_do_not_fit_the_files_are_forgotten(image_folder, tmp_path, later) -> None:
    """As on a file system that does not record changes: the store says one thing, the images another."""
    from test_pixels import Squeeze

    root, indices = image_folder("set", {"a": 3}), np.arange(3)
    later()
    images = images_in(root, tmp_path)
    right = images.content_hashes(indices)
    images._contents._known.add(images._source.stamps([0, 1, 2]), right[[1, 0, 2]])
    wrong = images_in(root, tmp_path)
    with pytest.raises(TaskError, match=r"000\.png: changed while it was read, or since its content hash"):
        pixel_set(wrong, indices, Squeeze(), tmp_path, max_broken=0, what="tasks.t.val")
    assert (images_in(root, tmp_path).content_hashes(indices) == right).all()
    pixel_set(images_in(root, tmp_path), indices, Squeeze(), tmp_path, max_broken=0, what="tasks.t.val")
