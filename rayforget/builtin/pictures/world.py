"""A world source of a space file -> its pictures, each decided only by its place in the source."""

import io
from typing import Literal

import numpy as np
from PIL import Image

from rayforget.builtin.pictures.scene import COLORS, COUNTS, make_scene
from rayforget.builtin.pictures.shapes import SHAPES
from rayforget.builtin.pictures.styles import COLORED_STYLES, STYLES, paint
from rayforget.errors import TaskError
from rayforget.space.tasks.data import WorldSource

__all__ = ["COLORED_STYLES", "COLORS", "COUNTS", "SHAPES", "SIZE", "STYLES", "WorldImages", "draw", "stream"]

SIZE = 32
"""Height and width of the pictures, in pixels."""

CLASS_NAMES: dict[str, tuple[str, ...]] = {"shape": SHAPES, "color": COLORS, "count": COUNTS}
"""Class names per naming, in the order of the labels."""

_STREAMS = ("train", "val", "test", "pretraining")


def draw(shape: str, color: str, count: int, style: str, rng: np.random.Generator, *, size: int = SIZE) -> Image.Image:
    """One picture in RGB.

    Args:
        shape: one of SHAPES.
        color: one of COLORS; seen in COLORED_STYLES only.
        count: 1 to 4 objects.
        style: one of STYLES.
        rng: the source of pose, shade, background and texture.
        size: height and width in pixels.
    """
    return paint(make_scene(shape, color, count, rng), style, size, rng)


def stream(split: Literal["train", "val", "test", "pretraining"], seed: int, *place: int) -> np.random.Generator:
    """The random stream of one picture; no two (split, seed, place) share one."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_STREAMS.index(split), *place)))


class WorldImages:
    """The pictures of one world source, each drawn when it is first read.

    Labels are balanced: every run of num_classes pictures has each class once. With style `all` so are the pairs of
    class and style, over num_classes * num_styles pictures. A smaller source has the first pictures of a larger one.
    """

    def __init__(self, source: WorldSource) -> None:
        shown = COLORED_STYLES if source.naming == "color" else STYLES
        if source.style != "all" and source.style not in shown:
            why = "shows no colour to name" if source.style in STYLES else "is not a style of the built-in world"
            raise TaskError(f"style {source.style!r} {why}; use one of: all, {', '.join(shown)}")
        self.source = source
        self.class_names: tuple[str, ...] = CLASS_NAMES[source.naming]
        self._styles = shown if source.style == "all" else (source.style,)
        self._place = (
            list(CLASS_NAMES).index(source.naming),
            len(STYLES) if source.style == "all" else STYLES.index(source.style),
        )

        self._files: dict[int, bytes] = {}
        num_blocks = -(-source.count // len(self.class_names))
        streams = (stream(source.split, source.seed, *self._place, 0, block) for block in range(num_blocks))
        self._labels = np.concatenate([rng.permutation(len(self.class_names)) for rng in streams])

    def __len__(self) -> int:
        return self.source.count

    @property
    def stream(self) -> tuple[str | int, ...]:
        """Split, seed and place, which decide the random streams of all pictures (see `stream`)."""
        return self.source.split, self.source.seed, *self._place

    def name(self, index: int) -> str:
        """The picture's place, for messages, e.g. `sketch/shape/val/0/17`."""
        source = self.source
        return f"{source.style}/{source.naming}/{source.split}/{source.seed}/{index}"

    def label(self, index: int) -> int:
        """The picture's class, an index into `class_names`."""
        return int(self._labels[self._checked(index)])

    def style(self, index: int) -> str:
        """The picture's style."""
        block = index // len(self.class_names)
        return self._styles[(block + self.label(index)) % len(self._styles)]

    def image(self, index: int, *, size: int = SIZE) -> Image.Image:
        """The picture, drawn at every call and always the same."""
        label = self.label(index)
        rng = stream(self.source.split, self.source.seed, *self._place, 1, index)
        shape, color = str(rng.choice(SHAPES)), str(rng.choice(COLORS))
        naming = self.source.naming
        return draw(
            SHAPES[label] if naming == "shape" else shape,
            COLORS[label] if naming == "color" else color,
            label + 1 if naming == "count" else 1,
            self.style(index),
            rng,
            size=size,
        )

    def read(self, index: int) -> bytes:
        """The picture as a PNG file (about 2 kB), drawn once and kept."""
        if index not in self._files:
            file = io.BytesIO()
            self.image(index).save(file, format="png", compress_level=1)
            self._files[index] = file.getvalue()
        return self._files[index]

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"picture {index} of {len(self)}")
        return index
