"""Shape, colour and count -> a scene: every object's outlines at a random pose, and the colours to draw it in."""

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rayforget.builtin.pictures.shapes import SHAPES, Outline, Points, outlines

Rgb = NDArray[np.float32]

COLORS: tuple[str, ...] = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
"""Class names of the task that names the colour, in the order of their labels."""
COUNTS: tuple[str, ...] = ("one", "two", "three", "four")
"""Class names of the task that counts, in the order of their labels."""

_HSV = {
    "red": (0.995, 0.9, 0.85),
    "orange": (0.075, 0.95, 0.97),
    "yellow": (0.15, 0.85, 0.97),
    "green": (0.34, 0.8, 0.62),
    "blue": (0.61, 0.85, 0.82),
    "purple": (0.77, 0.7, 0.62),
    "pink": (0.92, 0.42, 0.98),
    "brown": (0.065, 0.7, 0.42),
}
_HSV_JITTER = np.array([0.012, 0.1, 0.08])


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What to draw, before any style."""

    curves: tuple[Outline, ...]
    """The outlines of all objects in drawing order, in a picture that spans [0, 1] x [0, 1] (x right, y down)."""
    ink: Rgb
    """The objects' colour, shape (3,), in [0, 1]."""
    backdrop: Rgb
    """A muted colour that contrasts with `ink`, shape (3,), in [0, 1]."""


def make_scene(shape: str, color: str, count: int, rng: np.random.Generator) -> Scene:
    """Draws pose, shade and backdrop at random.

    Args:
        shape: one of SHAPES.
        color: one of COLORS.
        count: 1 to 4 objects, which differ only in their pose; one object may be larger than several.
        rng: the source of all randomness.
    """
    if shape not in SHAPES or color not in _HSV or not 1 <= count <= len(COUNTS):
        raise ValueError(f"no such picture: shape {shape!r}, color {color!r}, count {count}")
    ink = _rgb(np.array(_HSV[color]) + rng.uniform(-1, 1, 3) * _HSV_JITTER)
    radius = float(rng.uniform(0.24, 0.44) if count == 1 else rng.uniform(0.17, 0.23))
    if count == 1:
        centers = rng.uniform(radius, 1 - radius, (1, 2)) * 0.7 + 0.15
    else:
        cells = rng.permutation(4)[:count]
        corners = np.stack([cells % 2, cells // 2], axis=1)
        slack = 0.25 - radius
        centers = 0.25 + 0.5 * corners + rng.uniform(-1, 1, (count, 2)) * slack
    curves = tuple(curve for center in centers for curve in _placed(outlines(shape), center, radius, rng))
    return Scene(curves=curves, ink=ink, backdrop=_backdrop(ink, rng))


def _placed(
    curves: tuple[Outline, ...], center: Points, radius: float, rng: np.random.Generator
) -> tuple[Outline, ...]:
    """The outlines turned by up to 30 degrees, mirrored or not, slightly stretched and slanted."""
    turn = rng.uniform(-np.pi / 6, np.pi / 6)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    slant = np.array([[1.0, 0.0], [rng.uniform(-0.15, 0.15), rng.uniform(0.8, 1.0)]])
    mirror = np.diag([rng.choice([-1.0, 1.0]), 1.0])
    matrix = mirror @ slant @ rotation * radius
    return tuple(Outline(points=curve.points @ matrix + center, hole=curve.hole) for curve in curves)


def _rgb(hsv: NDArray[np.float64]) -> Rgb:
    hue, saturation, value = hsv
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, *np.clip([saturation, value], 0, 1)), dtype=np.float32)


def _backdrop(ink: Rgb, rng: np.random.Generator) -> Rgb:
    """A muted colour whose brightness or hue lies well away from the ink's."""
    while True:
        rgb = _rgb(np.array([rng.uniform(), rng.uniform(0.05, 0.45), rng.uniform(0.25, 0.95)]))
        if np.abs(rgb - ink).mean() > 0.25:
            return rgb
