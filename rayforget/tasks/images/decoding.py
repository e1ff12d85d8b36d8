"""Encoded bytes -> an opened image, or the reason why they are none."""

import io
import struct
import zlib
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

# Formats that Pillow decodes itself; others (EPS) would start programs.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
# What Pillow's decoders raise on damaged bytes. A decoder's own mistake is another error and ends the run.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, OverflowError, struct.error, zlib.error)


class Decoder(Protocol):
    """A foundation's own deterministic preprocessing up to uint8; called from several threads at once."""

    key: str
    """Everything the result depends on beside the image (sizes, interpolation, version of its code)."""
    shape: tuple[int, int, int]
    """(3, H, W)."""

    def __call__(self, image: Image.Image) -> NDArray[np.uint8]:
        """The image, of any mode and size, as uint8 of `shape`."""
        ...


def open_image(data: bytes) -> Image.Image | str:
    """The image, loaded to the last byte (a cut-off file shows only then), or why it is broken."""
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        image.load()
    except UnidentifiedImageError:
        return "empty" if not data else "no known image format"
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        return str(error) or type(error).__name__
    return image
