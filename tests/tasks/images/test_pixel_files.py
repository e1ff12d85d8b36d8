from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from rayforget.tasks.images.pixel_files import read_pixels, write_pixels

SHAPE = (3, 2, 5)


def image(value: int) -> np.ndarray:
    return np.full(SHAPE, value, np.uint8)


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

    def overtaken() -> Iterator[np.ndarray]:
        yield image(1)
        write_pixels(folder, iter([image(1), image(2)]), 2, SHAPE, check=accept)
        yield image(2)

    stored = write_pixels(folder, overtaken(), 2, SHAPE, check=accept)
    assert stored.pixels[:, 0, 0, 0].tolist() == [1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_an_error_leaves_nothing_behind(tmp_path):
    def failing() -> Iterator[np.ndarray]:
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
