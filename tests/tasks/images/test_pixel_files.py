from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from rayforget.tasks.images import block_sums
from rayforget.tasks.images.pixel_files import DecodedImage, read_pixels, verified_pixels, verify_pixels, write_pixels

SHAPE = (3, 2, 5)


def image(value: int, *, changed: bool = False) -> DecodedImage:
    return DecodedImage(pixels=np.full(SHAPE, value, np.uint8), changed=changed)


def accept(_: Mapping[int, str]) -> None:
    """Accepts any number of broken items."""


@pytest.mark.parametrize("count", [1, 9, 10, 101])
@pytest.mark.parametrize("num_broken", [0, 1, 2])
def test_what_is_read_is_what_was_written_less_the_broken(tmp_path, count, num_broken):
    broken = set(range(count)[1 : 1 + num_broken])
    decoded = ("bad" if at in broken else image(at) for at in range(count))
    stored = write_pixels(tmp_path / "set", decoded, count, SHAPE, check=accept)
    assert stored.broken == dict.fromkeys(broken, "bad")
    assert stored.pixels[:, 0, 0, 0].tolist() == [at for at in range(count) if at not in broken]
    assert stored.pixels.shape == (count - len(broken), *SHAPE)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_the_slower_of_two_writers_takes_what_the_faster_wrote(tmp_path):
    folder = tmp_path / "set"

    def overtaken() -> Iterator[DecodedImage]:
        yield image(1)
        write_pixels(folder, iter([image(1), image(2)]), 2, SHAPE, check=accept)
        yield image(2)

    stored = write_pixels(folder, overtaken(), 2, SHAPE, check=accept)
    assert stored.pixels[:, 0, 0, 0].tolist() == [1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_an_error_leaves_nothing_behind(tmp_path):
    def failing() -> Iterator[DecodedImage]:
        yield image(1)
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        write_pixels(tmp_path / "set", failing(), 2, SHAPE, check=accept)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [0, 5, 60, -1])
def test_a_cut_off_file_counts_as_none(tmp_path: Path, size):
    write_pixels(tmp_path / "set", iter([image(1)]), 1, SHAPE, check=accept)
    file = tmp_path / "set" / "pixels.npy"
    file.write_bytes(file.read_bytes()[:size])
    assert read_pixels(tmp_path / "set") is None
    (tmp_path / "set" / "pixels.npy").unlink()
    assert read_pixels(tmp_path / "set") is None


def test_pixels_that_became_zeros_are_found_once_per_boot_and_file(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(block_sums, "BLOCK_BYTES", 64)
    folder, file = tmp_path / "set", tmp_path / "set" / "pixels.npy"
    stored = write_pixels(folder, (image(at + 1, changed=at == 4) for at in range(9)), 9, SHAPE, check=accept)
    assert len(stored.sums) == 5  # 270 bytes
    assert stored.changed == {4}
    for marker in folder.glob("verified-*"):  # as after a reboot
        marker.unlink()
    assert verified_pixels(folder) is None
    assert not isinstance(verify_pixels(folder, "t"), str)
    if Path("/proc/sys/kernel/random/boot_id").is_file():
        assert verified_pixels(folder) is not None
    data = file.read_bytes()
    file.write_bytes(data[:-200] + bytes(200))
    assert verified_pixels(folder) is None
    assert "block 2 of 5" in verify_pixels(folder, "t")


def test_a_changed_list_of_items_counts_as_none(tmp_path: Path):
    write_pixels(tmp_path / "set", iter([image(1), "bad"]), 2, SHAPE, check=accept)
    file = tmp_path / "set" / "items.json"
    file.write_text(file.read_text().replace('"1"', '"0"'))
    assert read_pixels(tmp_path / "set") is None
