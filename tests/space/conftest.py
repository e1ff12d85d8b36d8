"""Two small valid space files, and changed copies of them."""

from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def changed_copies(space: Path, folder: Path) -> Callable[..., Path]:
    """Writes the space, with whole lines (counted from 1) replaced, and returns its path."""

    def write(lines: dict[int, str] | None = None, *, add: str = "") -> Path:
        text = space.read_text().splitlines()
        for number, line in (lines or {}).items():
            text[number - 1] = line
        path = folder / "space.yaml"
        path.write_text("\n".join(text) + "\n" + add)
        return path

    return write


@pytest.fixture
def small_space(tmp_path: Path) -> Callable[..., Path]:
    return changed_copies(HERE / "small.yaml", tmp_path)


@pytest.fixture
def text_space(tmp_path: Path) -> Callable[..., Path]:
    return changed_copies(HERE / "small_text.yaml", tmp_path)
