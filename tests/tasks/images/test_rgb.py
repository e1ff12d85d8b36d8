import io
import struct

import numpy as np
import pytest
from PIL import Image

from rayforget.tasks.images.decoding import OpenedImage, Reading, open_image, stored_header

RED, WHITE = (200, 10, 30), (255, 255, 255)


def encoded(image: Image.Image, kind: str = "PNG", **settings) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def opened(data: bytes, **reading) -> OpenedImage:
    found = open_image(data, Reading(**reading))
    assert isinstance(found, OpenedImage), found
    assert found.rgb.mode == "RGB"
    return found


def grey(values, dtype) -> Image.Image:
    return Image.fromarray(np.array([values], dtype=dtype))


def palette() -> Image.Image:
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *WHITE])
    image.putpixel((1, 0), 1)
    return image


def transparent() -> Image.Image:
    image = Image.new("RGBA", (2, 1), (*WHITE, 0))
    image.putpixel((0, 0), (*RED, 255))
    return image


def white_is_zero(image: Image.Image) -> bytes:
    """A TIFF whose photometric interpretation says that 0 is white."""
    data = encoded(image, "TIFF")
    tag = struct.pack("<HHL", 262, 3, 1)
    assert data.count(tag) == 1
    place = data.index(tag) + len(tag)
    return data[:place] + struct.pack("<H", 0) + data[place + 2 :]


@pytest.mark.parametrize(
    ("data", "expected", "changed"),
    [
        (encoded(Image.new("RGB", (2, 1), RED)), [RED, RED], False),
        (encoded(grey([0, 77], np.uint8)), [(0,) * 3, (77,) * 3], False),
        (encoded(grey([0, 128 * 257], np.uint16)), [(0,) * 3, (128,) * 3], True),
        (encoded(grey([300, 65535], np.uint16)), [(1,) * 3, (255,) * 3], True),
        (encoded(grey([257, 65535], np.uint16), "TIFF"), [(1,) * 3, (255,) * 3], True),
        (white_is_zero(grey([0, 128 * 257], np.uint16)), [WHITE, (127,) * 3], True),
        (white_is_zero(grey([0, 128], np.uint8)), [WHITE, (127,) * 3], False),
        (b"P5 2 1 65535\n\x01\x01\xff\xff", [(1,) * 3, (255,) * 3], True),
        (encoded(palette()), [RED, WHITE], True),
        (encoded(palette(), transparency=1), [RED, WHITE], True),
        (encoded(palette(), "GIF"), [RED, WHITE], True),
        (encoded(transparent()), [RED, WHITE], True),
        (encoded(transparent().convert("LA")), [(69,) * 3, (255,) * 3], True),
        (encoded(Image.new("1", (2, 1), 1)), [WHITE, WHITE], True),
        (encoded(Image.new("CMYK", (2, 1), (0, 255, 255, 0)), "TIFF"), [(255, 0, 0)] * 2, True),
    ],
)
def test_every_mode_becomes_rgb_by_value_before_anything_resizes_it(data, expected, changed):
    found = opened(data)
    assert np.asarray(found.rgb)[0].tolist() == [list(pixel) for pixel in expected]
    assert found.changed == changed


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_numbers_without_a_known_range_are_refused(dtype):
    found = open_image(encoded(grey([0, 1], dtype), "TIFF"), Reading())
    assert isinstance(found, str)
    assert "range" in found


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_is_what_datasets_shows_and_as_stored_is_what_imagefolder_shows(orientation):
    datasets = pytest.importorskip("datasets")
    noise = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(noise), exif=exif)
    shown = datasets.Image().decode_example({"bytes": data, "path": None})
    assert (np.asarray(opened(data, upright=True).rgb) == np.asarray(shown)).all()
    assert (np.asarray(opened(data).rgb) == noise).all()
    assert opened(data, upright=True).changed == (orientation != 1)
    assert stored_header(data).orientation == orientation


def test_an_image_above_the_limit_is_refused_by_its_header_with_its_size():
    data = encoded(Image.new("1", (2000, 1001)))
    assert open_image(data, Reading(max_megapixels=2)) == (
        "2000 x 1001 are 2.002 megapixels, allowed 2 (max_megapixels)"
    )
    assert opened(data, max_megapixels=2.1).rgb.size == (2000, 1001)
    bomb = encoded(Image.new("1", (12_800, 12_800)), "WEBP", lossless=True)
    assert len(bomb) < 20_000
    assert "163.8 megapixels, allowed 90" in open_image(bomb, Reading())
