"""A sweep's check, and every worker after the first, find the items' hashes known; `check` alone writes none."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from tiny_clip import save_clip

from rayforget.foundations.prepare import prepare_foundation
from rayforget.space.file.load import LoadedSpace, load_space
from rayforget.tasks.check import check_data
from rayforget.tasks.images.known_hashes import HashStore

SPACE = """\
name: tiny
foundation: {{kind: clip, model: "local-dir:{root}/model"}}
tasks:
  known:
    kind: zero_shot
    role: speciality
    templates: ["a {{}}"]
    train: {{kind: folder, path: {root}/train}}
    val: {{kind: folder, path: {root}/val}}
    test: {{kind: folder, path: {root}/test}}
  other:
    kind: zero_shot
    role: generality
    group: g
    cut: {{source: {{kind: folder, path: {root}/other}}}}
recipe: {{learning_rate: 1e-3, epochs: 1, batch_size: 2}}
methods: {{full: {{}}}}
plain: {{}}
search: {{trainings: 1, seed: 0}}
storage: {{path: {root}/runs}}
"""
_OPENED: list[list[str]] = []
"""The innermost list receives every file that is opened; an audit hook stays for the process's life."""
sys.addaudithook(lambda event, args: _OPENED[-1].append(str(args[0])) if event == "open" and _OPENED else None)


@contextmanager
def opened_images() -> Iterator[list[str]]:
    """Fills the list until the block ends."""
    found: list[str] = []
    _OPENED.append([])
    try:
        yield found
    finally:
        found += [path for path in _OPENED.pop() if path.endswith(".png")]


@pytest.fixture
def space(image_folders: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoadedSpace:
    image_folders(train=4, val=3, test=3, other=12)
    save_clip(tmp_path / "model")
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() + 3600 * 10**9)  # the files are old by now
    (tmp_path / "space.yaml").write_text(SPACE.format(root=tmp_path))
    return load_space(tmp_path / "space.yaml")


@pytest.fixture
def image_folders(tmp_path: Path) -> Callable[..., None]:
    import numpy as np
    from PIL import Image

    def make(**counts: int) -> None:
        rng = np.random.default_rng(0)
        for name, count in counts.items():
            for number in range(count):
                folder = tmp_path / name / "ab"[number % 2]
                folder.mkdir(parents=True, exist_ok=True)
                pixels = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")

    return make


def use_all(space: LoadedSpace, cache: Path) -> list[str]:
    """Does what a worker does with its images at the start; returns their hashes."""
    foundation = prepare_foundation(space.space, cache=cache, device=torch.device("cpu"))
    return [foundation.scorer(None).items_hash(split) for split in ("val", "test")]


def test_the_second_worker_opens_no_image(space: LoadedSpace, tmp_path: Path) -> None:
    with opened_images() as first:
        hashes = use_all(space, tmp_path / "cache")
    with opened_images() as second:
        assert use_all(space, tmp_path / "cache") == hashes
    assert len(set(first)) == 3 + 3 + 12
    assert second == []


def test_check_looks_and_a_sweep_keeps(space: LoadedSpace, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with opened_images() as checked:
        check_data(space, hashes=HashStore.in_cache(cache, writes=False))
    assert checked
    assert not cache.exists()
    check_data(space, hashes=HashStore.in_cache(cache))
    with opened_images() as again:
        check_data(space, hashes=HashStore.in_cache(cache, writes=False))
    assert again == []
    kept = {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()}
    check_data(space, hashes=HashStore.in_cache(cache, writes=False))
    assert {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()} == kept
