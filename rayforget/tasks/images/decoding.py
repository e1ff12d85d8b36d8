"""Encoded bytes -> an opened image, or the reason why it is broken."""

import io
import struct
import zlib
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

# Formats that Pillow decodes itself; others (EPS) would start programs.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
# Pillow's decoders raise these on damaged bytes. A bug of a decoder raises other errors, which end the run.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, OverflowError, struct.error, zlib.error)


class Decoder(Protocol):
    """A foundation's own deterministic preprocessing up to uint8; called from several threads at once."""

    key: str
    """Everything the result depends on besides the image (sizes, interpolation, version of the code)."""
    shape: tuple[int, int, int]
    """(3, H, W)."""

    def __call__(self, image: Image.Image) -> NDArray[np.uint8]:
        """The image, of any mode and size, as uint8 of `shape`."""
        ...


def open_image(data: bytes) -> Image.Image | str:
    """The image, loaded to the last byte (otherwise truncation goes unnoticed), or why it is broken."""
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        image.load()
    except UnidentifiedImageError:
        return "empty" if not data else "no known image format"
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        return str(error) or type(error).__name__
    return image
