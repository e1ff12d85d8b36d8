"""The drawn world: determinism, separate streams, balanced labels, pictures that differ where they should."""

import io
from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rayforget.builtin.pictures.world import COLORED_STYLES, COLORS, COUNTS, SHAPES, SIZE, STYLES, WorldImages, draw
from rayforget.errors import TaskError
from rayforget.space.tasks.data import WorldSource


def world(**changes: Any) -> WorldImages:
    values: dict[str, Any] = {"kind": "world", "style": "photo", "split": "train", "count": 40, "seed": 0}
    return WorldImages(WorldSource(**values | changes))


def picture(shape: str, style: str, *, color: str = "red", count: int = 1, seed: int = 0) -> NDArray[np.float64]:
    return np.asarray(draw(shape, color, count, style, np.random.default_rng(seed)), dtype=np.float64) / 255


def test_the_world_is_as_rich_as_promised() -> None:
    assert len(SHAPES) >= 16
    assert len(STYLES) >= 6
    assert len(COLORS) >= 6
    assert COUNTS == ("one", "two", "three", "four")
    for names in (SHAPES, STYLES, COLORS, COUNTS):
        assert len(set(names)) == len(names)


def test_a_picture_is_decided_by_its_source_and_index() -> None:
    assert [world().read(i) for i in (0, 7, 39)] == [world().read(i) for i in (0, 7, 39)]
    reading_order = world()
    assert [reading_order.read(i) for i in (39, 7)] == [world().read(39), world().read(7)]


def test_a_smaller_source_is_the_beginning_of_a_larger() -> None:
    small, large = world(count=21, style="all"), world(count=90, style="all")
    assert [small.label(i) for i in range(21)] == [large.label(i) for i in range(21)]
    assert [small.read(i) for i in range(21)] == [large.read(i) for i in range(21)]


@pytest.mark.parametrize("change", [{"split": "val"}, {"split": "test"}, {"seed": 1}, {"naming": "count"}])
def test_other_splits_seeds_and_namings_are_other_pictures(change: dict[str, Any]) -> None:
    here, there = world(), world(**change)
    assert not {here.read(i) for i in range(40)} & {there.read(i) for i in range(40)}


@pytest.mark.parametrize("style", [*STYLES, "all"])
def test_no_picture_comes_twice(style: str) -> None:
    pictures = world(style=style, count=60)
    assert len({pictures.read(i) for i in range(60)}) == 60


@pytest.mark.parametrize("naming", ["shape", "color", "count"])
def test_labels_are_balanced_and_in_range(naming: str) -> None:
    pictures = world(style="all", naming=naming, count=161)
    num_classes = len(pictures.class_names)
    whole = 161 // num_classes * num_classes
    counts = Counter(pictures.label(i) for i in range(whole))
    assert counts == {label: whole // num_classes for label in range(num_classes)}
    assert 0 <= pictures.label(160) < num_classes


def test_style_all_pairs_every_class_with_every_style_equally() -> None:
    num = len(SHAPES) * len(STYLES)
    pictures = world(style="all", count=num)
    assert len({(pictures.label(i), pictures.style(i)) for i in range(num)}) == num


def test_colour_is_asked_only_where_it_shows() -> None:
    pictures = world(style="all", naming="color", count=80)
    assert {pictures.style(i) for i in range(80)} == set(COLORED_STYLES)
    with pytest.raises(TaskError, match="'sketch' shows no colour"):
        world(style="sketch", naming="color")


def test_an_unknown_style_is_named_with_the_known_ones() -> None:
    with pytest.raises(TaskError, match=r"'pastel' is not a style.*photo.*neon"):
        world(style="pastel")


@pytest.mark.parametrize("index", [-1, 1])
def test_an_index_outside_the_source_is_refused(index: int) -> None:
    one = world(count=1)
    assert one.read(0)
    with pytest.raises(IndexError):
        one.read(index)
    with pytest.raises(IndexError):
        one.label(index)


def test_items_are_png_files_of_the_models_size() -> None:
    image = Image.open(io.BytesIO(world().read(3)))
    assert (image.format, image.mode, image.size) == ("PNG", "RGB", (SIZE, SIZE))


@pytest.mark.parametrize("style", STYLES)
def test_every_class_shows_in_every_style(style: str) -> None:
    """The random stream is the same, so that pose, colours and texture agree and only the class differs."""
    pictures = np.stack([picture(shape, style) for shape in SHAPES])
    assert pictures.std(axis=(1, 2, 3)).min() > 0.03
    differences = np.abs(pictures[:, None] - pictures[None]).mean(axis=(2, 3, 4))
    np.fill_diagonal(differences, 1)
    assert differences.min() > 0.01


@pytest.mark.parametrize("shape", SHAPES)
def test_every_style_looks_different(shape: str) -> None:
    pictures = np.stack([picture(shape, style) for style in STYLES])
    differences = np.abs(pictures[:, None] - pictures[None]).mean(axis=(2, 3, 4))
    np.fill_diagonal(differences, 1)
    assert differences.min() > 0.05


@pytest.mark.parametrize("style", STYLES)
def test_colour_shows_in_the_coloured_styles_only(style: str) -> None:
    red, blue = picture("star", style, color="red"), picture("star", style, color="blue")
    difference = np.abs(red.mean(axis=(0, 1)) - blue.mean(axis=(0, 1))).max()
    assert (difference > 0.02) == (style in COLORED_STYLES)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_count_is_the_number_of_things_seen(count: int) -> None:
    """Flood-fills the black islands in silhouettes, which have no texture."""
    for seed in range(20):
        dark = picture("square", "silhouette", count=count, seed=seed).max(axis=2) < 0.25
        assert _num_islands(dark) == count


def test_pictures_of_other_sizes_can_be_drawn() -> None:
    for size in (17, 64):
        assert draw("star", "red", 1, "mosaic", np.random.default_rng(0), size=size).size == (size, size)


def test_a_picture_that_cannot_be_is_refused() -> None:
    for shape, color, count in (("blob", "red", 1), ("star", "mauve", 1), ("star", "red", 0), ("star", "red", 5)):
        with pytest.raises(ValueError, match="no such picture"):
            draw(shape, color, count, "photo", np.random.default_rng(0))


def _num_islands(mask: NDArray[np.bool_]) -> int:
    left = {(int(y), int(x)) for y, x in zip(*np.nonzero(mask), strict=True)}
    num = 0
    while left:
        num += 1
        edge = [left.pop()]
        while edge:
            y, x = edge.pop()
            near = {(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)} & left
            left -= near
            edge.extend(near)
    return num
