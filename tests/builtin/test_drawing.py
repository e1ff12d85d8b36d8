"""The world's geometry: areas against closed forms, holes, strokes, poses that stay in the picture."""

from collections import Counter

import numpy as np
import pytest

from rayforget.builtin.pictures.brushes import filled, over, ramp, straight, stroked, wobbly
from rayforget.builtin.pictures.scene import COLORS, Scene, make_scene
from rayforget.builtin.pictures.shapes import MAX_EDGE, SHAPES, Outline, outlines

GREY = np.full(3, 0.5, dtype=np.float32)


def centered(shape: str, radius: float = 0.4) -> Scene:
    curves = tuple(Outline(points=c.points * radius + 0.5, hole=c.hole) for c in outlines(shape))
    return Scene(curves=curves, ink=GREY, backdrop=GREY)


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        ("circle", np.pi * 0.9**2),
        ("square", 1.6**2),
        ("triangle", 1.9 * 1.65 / 2),
        ("ring", np.pi * (0.95**2 - 0.5**2)),
        ("cross", 0.64**2 + 4 * 0.64 * 0.6),
    ],
)
def test_filled_area_is_the_shapes(shape: str, area: float) -> None:
    assert filled(centered(shape), 128).mean() == pytest.approx(area * 0.4**2, rel=0.04)


@pytest.mark.parametrize("shape", SHAPES)
def test_outlines_lie_in_their_square_and_have_short_edges(shape: str) -> None:
    for curve in outlines(shape):
        assert np.abs(curve.points).max() <= 1.05
        edges = np.linalg.norm(curve.points - np.roll(curve.points, 1, axis=0), axis=1)
        assert edges.max() <= MAX_EDGE + 1e-9


def test_a_stroke_covers_about_length_times_width() -> None:
    perimeter, width = 4 * 1.6 * 0.4, 0.03
    assert stroked(centered("square"), 128, width).mean() == pytest.approx(perimeter * width, rel=0.15)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_objects_stay_in_the_picture(count: int) -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scene = make_scene(SHAPES[seed % len(SHAPES)], COLORS[seed % len(COLORS)], count, rng)
        points = np.concatenate([curve.points for curve in scene.curves])
        assert points.min() > -0.12
        assert points.max() < 1.12


def test_the_backdrop_never_hides_the_ink() -> None:
    for color in COLORS:
        scenes = [make_scene("star", color, 1, np.random.default_rng(seed)) for seed in range(30)]
        assert min(np.abs(scene.ink - scene.backdrop).mean() for scene in scenes) > 0.25


def test_several_objects_are_as_many_sets_of_outlines() -> None:
    curves = make_scene("key", "red", 3, np.random.default_rng(0)).curves
    assert Counter(len(curve.points) for curve in curves) == {len(c.points): 3 for c in outlines("key")}


def test_a_wobble_of_zero_is_straight() -> None:
    points = outlines("star")[0].points
    np.testing.assert_array_equal(wobbly(0.0, np.random.default_rng(0))(points), straight(points))


def test_a_mask_of_zero_shows_below_and_of_one_above() -> None:
    below, above = np.random.default_rng(0).random((2, 5, 5, 3))
    np.testing.assert_array_equal(over(below, above, np.zeros((5, 5))), below)
    np.testing.assert_allclose(over(below, above, np.ones((5, 5))), above)


@pytest.mark.parametrize("side", [1, 5])
def test_a_ramp_stays_within_0_and_1(side: int) -> None:
    for direction in np.linspace(0, 2 * np.pi, 9):
        assert 0 <= ramp(side, direction).min() <= ramp(side, direction).max() <= 1
