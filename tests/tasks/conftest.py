"""Small image folders made on the spot, and the hub switched off."""

import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def picture() -> Callable[..., bytes]:
    """picture(seed) -> the bytes of a small random image; other seeds, other bytes."""

    def encode(seed: int, *, size: tuple[int, int] = (12, 9), kind: str = "png", mode: str = "RGB") -> bytes:
        noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(noise).convert(mode).save(file, kind)
        return file.getvalue()

    return encode


@pytest.fixture
def image_folder(tmp_path: Path, picture: Callable[..., bytes]) -> Callable[..., Path]:
    """image_folder(name, {class: count or seeds}) -> ROOT/CLASS/SEED.png; counts get seeds of their own."""
    used = iter(range(1000, 100_000))

    def make(name: str, classes: Mapping[str, int | list[int]]) -> Path:
        root = tmp_path / name
        for folder, items in classes.items():
            (root / folder).mkdir(parents=True)
            for seed in [next(used) for _ in range(items)] if isinstance(items, int) else items:
                (root / folder / f"{seed:06d}.png").write_bytes(picture(seed))
        return root

    return make
