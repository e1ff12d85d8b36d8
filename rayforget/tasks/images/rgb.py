"""An opened image of any mode -> RGB of 8 bits, before anything resizes it: what torchvision's ImageFolder gives.

RGB comes first, and then the model's own transform. open_clip's transform alone resizes the image as it is stored:
palette and 1-bit images by their nearest neighbour, transparent ones multiplied by their alpha. Here alpha is dropped
and the colours below it stay. Greys of 16 bits are divided by 257, so that black stays black and white white; Pillow's
own conversion would cut all values above 255. Numbers without a known range (32-bit integers, floats) are refused.
"""

import numpy as np
from PIL import Image, ImageOps

_AS_BEFORE = frozenset({"RGB", "L"})
"""Modes that give equal pixels whether they become RGB before resizing or after."""
_BITS_PER_SAMPLE, _PHOTOMETRIC, _MIN_IS_WHITE = 258, 262, 0
"""TIFF's tags, and the value that says that 0 is white: Pillow heeds it for 1 and 8 bits alone."""
_ORIENTATION = 0x0112
UPRIGHT = 1


def to_rgb(image: Image.Image) -> Image.Image | str:
    """The image in RGB, or why it cannot be: the pixels of its mode have no known range, or Pillow does not know it."""
    if image.mode == "RGB":
        return image
    if _is_wide_grey(image):
        values = np.asarray(image).astype(np.float64)
        scaled = np.rint(values * (255 / _largest(image))).clip(0, 255).astype(np.uint8)
        if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _MIN_IS_WHITE:
            scaled = 255 - scaled
        return Image.fromarray(scaled).convert("RGB")
    if image.mode == "F" or image.mode.startswith("I"):
        what = "floats" if image.mode == "F" else "32-bit or signed integers"
        return f"its pixels are {what}, whose range nobody knows; save it with 8 or 16 bits a channel"
    try:
        return image.convert("RGB")
    except ValueError as error:
        return f"mode {image.mode} cannot become RGB ({error}); save it as RGB"


def needs_conversion(image: Image.Image) -> bool:
    """Whether RGB before resizing gives other pixels than RGB after it."""
    return image.mode not in _AS_BEFORE


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 is upright, as is everything unknown. Pillow turns TIFF files by itself."""
    found = 1 if image.format == "TIFF" else image.getexif().get(_ORIENTATION, UPRIGHT)
    return found if found in range(1, 9) else UPRIGHT


def turned_upright(image: Image.Image) -> Image.Image:
    """The image turned and mirrored as its EXIF orientation says."""
    return ImageOps.exif_transpose(image)


def _is_wide_grey(image: Image.Image) -> bool:
    """Greys of 12 or 16 bits: I;16 in either byte order, and Pillow's I of PNG and PGM, which hold no wider ones."""
    return image.mode in ("I;16", "I;16L", "I;16B", "I;16N") or (image.mode == "I" and image.format in ("PNG", "PPM"))


def _largest(image: Image.Image) -> int:
    """The value that is white."""
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (16,))
    return int(2 ** (bits[0] if isinstance(bits, tuple) else bits) - 1)
