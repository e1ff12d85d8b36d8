"""A scene -> pixels: one function per style, each from the same outlines to its own kind of picture."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from rayforget.builtin.pictures.brushes import Canvas, blurred, clouds, filled, over, ramp, stroked, wobbly
from rayforget.builtin.pictures.scene import Scene

Rng = np.random.Generator


def photo(scene: Scene, side: int, rng: Rng) -> Canvas:
    """Lit from one side, with a soft shadow, on blurred and textured ground, with a camera's exposure and noise."""
    mask = filled(scene, side)
    soft = blurred(mask, side / 32)
    light = rng.uniform(0, 2 * np.pi)
    towards = np.rint(side / 24 * np.array([np.sin(light), np.cos(light)])).astype(int)
    bevel = np.roll(soft, towards, axis=(0, 1)) - np.roll(soft, -towards, axis=(0, 1))
    shadow = np.roll(soft, 2 * towards, axis=(0, 1))
    shade = 1.05 - 0.35 * ramp(side, light) - 0.5 * bevel
    body = scene.ink * (shade[..., None] + clouds(rng, side, side // 4, 0.05)) + 0.3 * np.clip(-bevel, 0, 1)[..., None]
    ground = scene.backdrop + clouds(rng, side, 4, 0.1) + clouds(rng, side, 4, 0.04, channels=3)
    ground = ground + clouds(rng, side, side // 3, 0.05)
    ground = ground * (1 - 0.5 * shadow[..., None])
    noise = rng.standard_normal((side, side, 3), dtype=np.float32) * 0.06
    return over(ground, body, mask) * rng.uniform(0.8, 1.15) + noise


def painting(scene: Scene, side: int, rng: Rng) -> Canvas:
    """Wobbly edges and broad, visible brush strokes in varying shades."""
    mask = blurred(filled(scene, side, wobbly(0.012, rng)), side / 90)
    long, short = side // 4, side // 16
    grain = rng.standard_normal((2, long, short) if rng.random() < 0.5 else (2, short, long), dtype=np.float32)
    strokes = [np.asarray(Image.fromarray(g).resize((side, side), Image.Resampling.BILINEAR)) for g in grain]
    ground = scene.backdrop * (1 + 0.22 * strokes[0][..., None]) + clouds(rng, side, 4, 0.1, channels=3)
    body = scene.ink * (1 + 0.16 * strokes[1][..., None]) + clouds(rng, side, 5, 0.05, channels=3)
    return over(ground, body, mask)


def cartoon(scene: Scene, side: int, rng: Rng) -> Canvas:
    """Flat colour with a thick black outline on a plain bright ground."""
    ground = np.broadcast_to(0.45 + 0.55 * scene.backdrop, (side, side, 3))
    picture = over(ground, scene.ink, filled(scene, side))
    return over(picture, 0.04, stroked(scene, side, rng.uniform(0.04, 0.06)))


def sketch(scene: Scene, side: int, rng: Rng) -> Canvas:
    """Thin grey pencil lines, drawn twice by an unsteady hand and hatched or not, on paper; no colour."""
    paper = rng.uniform(0.85, 0.97) + clouds(rng, side, side // 2, 0.02)
    lines = [stroked(scene, side, rng.uniform(0.014, 0.024), wobbly(0.012, rng)) for _ in range(2)]
    dark = np.maximum(lines[0], 0.7 * lines[1])
    if rng.random() < 0.5:
        slope = rng.uniform(0, np.pi)
        hatching = np.sin(ramp(side, slope) * rng.uniform(60, 90)) > 0.4
        dark = np.maximum(dark, 0.5 * hatching * filled(scene, side))
    picture = paper * (1 - rng.uniform(0.55, 0.85) * dark[..., None])
    return np.broadcast_to(picture, (side, side, 3))


def silhouette(scene: Scene, side: int, rng: Rng) -> Canvas:
    """Black against an evening sky, which has the only colour."""
    level = ramp(side, rng.uniform(np.pi / 4, 3 * np.pi / 4))[..., None]
    sky = (0.35 + 0.65 * scene.backdrop) * (1 - level) + rng.uniform(0.6, 1, 3) * level
    return over(sky, rng.uniform(0, 0.1), filled(scene, side))


def mosaic(scene: Scene, side: int, rng: Rng) -> Canvas:
    """Square tiles of slightly different shades with dark joints."""
    tiles = int(rng.integers(13, 17))
    flat = over(np.broadcast_to(scene.backdrop, (side, side, 3)), scene.ink, filled(scene, side))
    small = Image.fromarray((flat * 255).astype(np.uint8)).resize((tiles, tiles), Image.Resampling.BOX)
    shades = np.asarray(small, dtype=np.float32) / 255 * rng.uniform(0.8, 1.15, (tiles, tiles, 1))
    position = (np.arange(side) + 0.5) * tiles / side
    joint = np.abs(position % 1 - 0.5) > 0.42
    picture: Canvas = shades[position.astype(int)][:, position.astype(int)]
    picture = picture * np.where(joint[:, None] | joint[None, :], 0.55, 1.0)[..., None]
    return picture


def neon(scene: Scene, side: int, rng: Rng) -> Canvas:
    """Glowing tubes along the outlines, in the dark."""
    tube = stroked(scene, side, rng.uniform(0.03, 0.045), wobbly(0.004, rng))
    glow = blurred(tube, side * rng.uniform(0.03, 0.05))
    wall = 0.12 * scene.backdrop + clouds(rng, side, side // 4, 0.01)
    lit = wall + scene.ink * (1.1 * glow + 0.8 * tube)[..., None]
    return lit + 0.3 * (tube**2)[..., None]


_PAINTERS: dict[str, Callable[[Scene, int, Rng], Canvas]] = {
    "photo": photo,
    "painting": painting,
    "cartoon": cartoon,
    "sketch": sketch,
    "silhouette": silhouette,
    "mosaic": mosaic,
    "neon": neon,
}

STYLES: tuple[str, ...] = tuple(_PAINTERS)
"""Names of the styles."""
COLORED_STYLES: tuple[str, ...] = tuple(style for style in STYLES if style not in ("sketch", "silhouette"))
"""The styles in which an object's colour can be seen."""


def paint(scene: Scene, style: str, size: int, rng: Rng) -> Image.Image:
    """The scene in one of STYLES, as an RGB image of `size` x `size` pixels."""
    canvas = _PAINTERS[style](scene, 2 * size, rng)
    picture = Image.fromarray((np.clip(canvas, 0, 1) * 255 + 0.5).astype(np.uint8), "RGB")
    return picture.reduce(2)
