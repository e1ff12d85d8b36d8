"""A small valid space file, and changed copies of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rayforget.errors import SpaceError
from rayforget.space.load import load_space

SMALL = """\
name: tiny
foundation: {kind: clip, model: builtin}
tasks:
  shapes:
    kind: zero_shot
    role: speciality
    templates: ["a {}"]
    train: {kind: world, style: photo, split: train, count: 8}
    val: {kind: world, style: photo, split: val, count: 8}
    test: {kind: world, style: photo, split: test, count: 8}
  sketch:
    kind: zero_shot
    role: generality
    group: distribution
    val: {kind: world, style: sketch, split: val, count: 8}
    test: {kind: world, style: sketch, split: test, count: 8}
recipe:
  learning_rate: {low: 1e-5, high: 1e-3, log: true}
  epochs: 2
  batch_size: 8
methods:
  full: {}
  lora:
    adapter: {kind: lora, rank: {low: 1, high: 8}}
  l2:
    penalties:
      - {kind: l2, strength: {low: 1, high: 10, log: true}}
plain:
  set:
    learning_rate: 1e-4
search:
  trainings: 6
  seed: 0
"""


@pytest.fixture
def small_space(tmp_path: Path) -> Callable[..., Path]:
    """Writes the small space, with whole lines (counted from 1) replaced, and returns its path."""

    def write(lines: dict[int, str] | None = None, *, add: str = "") -> Path:
        text = SMALL.splitlines()
        for number, line in (lines or {}).items():
            text[number - 1] = line
        path = tmp_path / "space.yaml"
        path.write_text("\n".join(text) + "\n" + add)
        return path

    return write


@pytest.fixture
def told(small_space: Callable[..., Path]) -> Callable[[dict[int, str], str], tuple[int, str]]:
    """Reads the small space with lines replaced; returns the line and the text of the one message about a key."""

    def read(lines: dict[int, str], key: str) -> tuple[int, str]:
        path = small_space(lines)
        with pytest.raises(SpaceError) as caught:
            load_space(path)
        messages = [one for one in str(caught.value).splitlines() if f": {key}: " in one]
        assert len(messages) == 1, str(caught.value)
        place, found_key, text = messages[0].split(": ", 2)
        assert found_key == key
        assert place.startswith(f"{path}:")
        return int(place.rpartition(":")[2]), text

    return read
