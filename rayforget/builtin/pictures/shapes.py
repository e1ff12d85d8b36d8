"""The world's shape classes, each a few closed outlines in the square [-1, 1] x [-1, 1] (x right, y down)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

MAX_EDGE = 0.25
"""Edges are cut into pieces of at most this length, so that a style may bend them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """One closed curve."""

    points: Points
    """Shape (num_points, 2); the last point joins the first."""
    hole: bool = False
    """Whether its inside is cut out of the outlines before it."""


def _solid(points: Points) -> Outline:
    return Outline(points=_subdivided(points))


def _hole(points: Points) -> Outline:
    return Outline(points=_subdivided(points), hole=True)


def _subdivided(points: Points) -> Points:
    """The same closed curve with no edge longer than MAX_EDGE."""
    pieces = []
    for start, end in zip(points, np.roll(points, -1, axis=0), strict=True):
        num = max(1, int(np.ceil(np.hypot(*(end - start)) / MAX_EDGE)))
        pieces.append(start + (end - start) * (np.arange(num) / num)[:, None])
    return np.concatenate(pieces)


def _arc(x: float, y: float, rx: float, ry: float, start: float = 0, stop: float = 360, num: int = 24) -> Points:
    """Points of an ellipse's arc; degrees, clockwise on the screen, 0 points right."""
    t = np.radians(np.linspace(start, stop, num, endpoint=abs(stop - start) < 360))
    return np.stack([x + rx * np.cos(t), y + ry * np.sin(t)], axis=1)


def _line(*xy: float) -> Points:
    """Corners given as x0, y0, x1, y1, …"""
    return np.array(xy, dtype=np.float64).reshape(-1, 2)


def _polar(radius: Points) -> Points:
    """A closed curve given by its radius at equally spaced angles, starting upwards."""
    t = np.linspace(0, 2 * np.pi, len(radius), endpoint=False) - np.pi / 2
    return np.stack([radius * np.cos(t), radius * np.sin(t)], axis=1)


def _cross() -> Points:
    arm, end = 0.32, 0.92
    quarter = _line(arm, -arm, end, -arm, end, arm)
    turns = [np.array([[c, s], [-s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    return np.concatenate([quarter @ turn for turn in turns])


def _heart() -> Points:
    t = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([np.sin(t) ** 3, -(y + 2.5) / 15], axis=1)


def _cloud() -> Points:
    left, top = _arc(-0.6, 0.2, 0.4, 0.36, 90, 260, 8), _arc(-0.2, -0.15, 0.45, 0.5, 190, 320, 8)
    right, low = _arc(0.32, -0.1, 0.36, 0.36, 250, 360, 7), _arc(0.62, 0.22, 0.38, 0.34, 290, 450, 8)
    return np.concatenate([left, top, right, low])


def _tree() -> Points:
    right = _line(0, -1, 0.48, -0.4, 0.26, -0.4, 0.68, 0.12, 0.4, 0.12, 0.85, 0.66, 0.16, 0.66, 0.16, 1)
    return np.concatenate([right, right[:0:-1] * (-1, 1)])


def _flower() -> Points:
    return _polar(0.5 + 0.48 * np.abs(np.cos(2.5 * np.linspace(0, 2 * np.pi, 50, endpoint=False))))


def _fish() -> Points:
    return np.concatenate([_arc(0.22, 0, 0.76, 0.5, -152, 152, 20), _line(-0.98, 0.55, -0.8, 0, -0.98, -0.55)])


def _moon() -> Points:
    return np.concatenate([_arc(-0.1, 0, 0.95, 0.95, 55, 305, 24), _arc(0.3, 0, 0.68, 0.79, 282, 78, 18)])


def _mushroom() -> Points:
    stem = _line(0.95, 0.15, 0.28, 0.15, 0.36, 0.9, -0.36, 0.9, -0.28, 0.15, -0.95, 0.15)
    return np.concatenate([_arc(0, 0, 0.95, 0.9, 180, 360, 16), stem])


def _umbrella() -> tuple[Outline, ...]:
    scallops = [_arc(x, 0, 1 / 3, 0.2, 360, 180, 6)[1:] for x in (2 / 3, 0.0, -2 / 3)]
    canopy = np.concatenate([_arc(0, 0, 1, 0.95, 180, 360, 14), *scallops])
    hook = np.concatenate([_arc(-0.22, 0.65, 0.3, 0.3, 0, 180, 8), _arc(-0.22, 0.65, 0.14, 0.14, 180, 0, 6)])
    return _solid(np.concatenate([_line(-0.08, -0.25, 0.08, -0.25), hook])), _solid(canopy)


def _key() -> tuple[Outline, ...]:
    shaft = _line(-0.2, -0.12, 1, -0.12, 1, 0.48, 0.82, 0.48, 0.82, 0.12, 0.62, 0.12, 0.62, 0.4, 0.44, 0.4)
    bow, eye = _arc(-0.52, 0, 0.46, 0.46), _arc(-0.55, 0, 0.2, 0.2, num=12)
    return _solid(np.concatenate([shaft, _line(0.44, 0.12, -0.2, 0.12)])), _solid(bow), _hole(eye)


def _boat() -> tuple[Outline, ...]:
    hull = _line(-0.98, 0.35, 0.98, 0.35, 0.62, 0.85, -0.62, 0.85)
    sails = _line(0.05, -0.98, 0.8, 0.2, 0.05, 0.2), _line(-0.08, -0.75, -0.08, 0.2, -0.7, 0.2)
    return _solid(hull), *map(_solid, sails)


def _cup() -> tuple[Outline, ...]:
    handle = np.concatenate([_arc(0.36, 0, 0.6, 0.5, -90, 90, 12), _arc(0.36, 0, 0.36, 0.26, 90, -90, 10)])
    return _solid(handle), _solid(_line(-0.9, -0.75, 0.45, -0.75, 0.32, 0.8, -0.77, 0.8))


_BUILDERS: dict[str, Callable[[], tuple[Outline, ...]]] = {
    "circle": lambda: (_solid(_arc(0, 0, 0.9, 0.9, num=28)),),
    "square": lambda: (_solid(_line(-0.8, -0.8, 0.8, -0.8, 0.8, 0.8, -0.8, 0.8)),),
    "triangle": lambda: (_solid(_line(0, -0.9, 0.95, 0.75, -0.95, 0.75)),),
    "star": lambda: (_solid(_polar(np.where(np.arange(10) % 2 == 0, 1.0, 0.4))),),
    "heart": lambda: (_solid(_heart()),),
    "cross": lambda: (_solid(_cross()),),
    "arrow": lambda: (_solid(_line(-0.95, -0.22, 0.1, -0.22, 0.1, -0.7, 0.98, 0, 0.1, 0.7, 0.1, 0.22, -0.95, 0.22)),),
    "moon": lambda: (_solid(_moon()),),
    "ring": lambda: (_solid(_arc(0, 0, 0.95, 0.95, num=28)), _hole(_arc(0, 0, 0.5, 0.5, num=20))),
    "house": lambda: (
        _solid(_line(-0.7, 0.9, -0.7, -0.1, -0.98, -0.1, 0, -0.95, 0.98, -0.1, 0.7, -0.1, 0.7, 0.9)),
        _hole(_line(-0.2, 0.9, -0.2, 0.3, 0.2, 0.3, 0.2, 0.9)),
    ),
    "tree": lambda: (_solid(_tree()),),
    "fish": lambda: (_solid(_fish()), _hole(_arc(0.62, -0.12, 0.1, 0.1, num=10))),
    "flower": lambda: (_solid(_flower()), _hole(_arc(0, 0, 0.24, 0.24, num=14))),
    "key": _key,
    "boat": _boat,
    "cup": _cup,
    "bolt": lambda: (_solid(_line(0.2, -1, -0.6, 0.12, -0.08, 0.12, -0.3, 1, 0.6, -0.28, 0.06, -0.28, 0.55, -1)),),
    "cloud": lambda: (_solid(_cloud()),),
    "umbrella": _umbrella,
    "mushroom": lambda: (_solid(_mushroom()),),
}

SHAPES: tuple[str, ...] = tuple(_BUILDERS)
"""Class names, in the order of their labels."""


@cache
def outlines(shape: str) -> tuple[Outline, ...]:
    """The curves of one of SHAPES, in drawing order."""
    return _BUILDERS[shape]()
