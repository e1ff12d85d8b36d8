"""The styles' tools: masks and strokes of a scene's outlines, smooth noise, blur and light."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from rayforget.builtin.pictures.scene import Scene
from rayforget.builtin.pictures.shapes import Points

Plane = NDArray[np.floating[Any]]
"""Shape (side, side), mostly in [0, 1]."""
Canvas = NDArray[np.floating[Any]]
"""Shape (side, side, 3), red green blue, mostly in [0, 1]."""
Bend = Callable[[Points], Points]

OVERSAMPLING = 2
"""Masks are drawn this much larger and averaged, since Pillow does not smooth edges."""


def straight(points: Points) -> Points:
    """Leaves the outlines as they are."""
    return points


def wobbly(amplitude: float, rng: np.random.Generator) -> Bend:
    """A random smooth displacement of about `amplitude` (a share of the picture), as of an unsteady hand."""
    waves = rng.normal(0, 9, (2, 2, 2))
    phases = rng.uniform(0, 2 * np.pi, (2, 2))

    def bend(points: Points) -> Points:
        shifts = [np.sin(points @ waves[axis].T + phases[axis]).sum(axis=1) for axis in (0, 1)]
        return points + amplitude * np.stack(shifts, axis=1)

    return bend


def filled(scene: Scene, side: int, bend: Bend = straight) -> Plane:
    """1 inside the objects, 0 outside."""
    picture = Image.new("L", (side * OVERSAMPLING,) * 2)
    pen = ImageDraw.Draw(picture)
    for curve in scene.curves:
        pen.polygon((bend(curve.points) * picture.width).ravel().tolist(), fill=0 if curve.hole else 255)
    return _averaged(picture)


def stroked(scene: Scene, side: int, width: float, bend: Bend = straight) -> Plane:
    """1 on the outlines, 0 elsewhere; the line's `width` is a share of the picture."""
    picture = Image.new("L", (side * OVERSAMPLING,) * 2)
    pen = ImageDraw.Draw(picture)
    thickness = max(1, round(width * picture.width))
    for curve in scene.curves:
        closed = np.concatenate([curve.points, curve.points[:2]])
        pen.line((bend(closed) * picture.width).ravel().tolist(), fill=255, width=thickness)
    return _averaged(picture)


def clouds(rng: np.random.Generator, side: int, cells: int, amplitude: float, channels: int = 1) -> Canvas:
    """Smooth noise, shape (side, side, channels): `cells` bumps along a side, standard deviation about `amplitude`."""
    planes = [
        np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
        for coarse in rng.standard_normal((channels, cells, cells), dtype=np.float32)
    ]
    return np.stack(planes, axis=2) * np.float32(amplitude)


def blurred(plane: Plane, radius: float) -> Plane:
    """Gaussian blur; radius in pixels."""
    picture = Image.fromarray((np.clip(plane, 0, 1) * 255).astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float32) / 255


def ramp(side: int, direction: float) -> Plane:
    """Rises from 0 to 1 across the picture towards `direction` (radians, clockwise on the screen, 0 is right)."""
    line = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    rise: Plane = 0.5 + (np.cos(direction) * line[None, :] + np.sin(direction) * line[:, None]) / 1.42
    return rise


def over(below: Canvas, above: Canvas | float, mask: Plane) -> Canvas:
    """`above` where the mask is 1, `below` where it is 0."""
    mixed: Canvas = below + mask[..., None] * (above - below)
    return mixed


def _averaged(picture: Image.Image) -> Plane:
    return np.asarray(picture.reduce(OVERSAMPLING), dtype=np.float32) / 255
