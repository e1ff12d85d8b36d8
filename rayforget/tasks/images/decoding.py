"""Encoded bytes -> an upright RGB image, or the reason why it is broken."""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from rayforget.lfs import BEGINNING
from rayforget.tasks.images.rgb import UPRIGHT, needs_conversion, orientation, to_rgb, turned_upright

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
        """An RGB image of any size as uint8 of `shape`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a source's images are read."""

    upright: bool = False
    """Whether they are turned as their EXIF orientation says, as `datasets` does and ImageFolder does not."""
    max_megapixels: float = 90
    """Larger images are broken ones; looked up in the header, so that a small file cannot fill the memory."""

    @property
    def key(self) -> str:
        """What the pixels depend on."""
        return f"RGB first, {'upright' if self.upright else 'as stored'}, at most {self.max_megapixels:g} megapixels"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedImage:
    """One image, ready for a `Decoder`."""

    rgb: Image.Image
    changed: bool
    """Whether its orientation or its mode was changed, which decides the pixels besides the bytes."""


def open_image(data: bytes, reading: Reading) -> OpenedImage | str:
    """The image in RGB, loaded to the last byte (otherwise truncation goes unnoticed), or why it is broken."""
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=_FORMATS)
        pixels = image.width * image.height
        if pixels > reading.max_megapixels * 1e6:
            return (
                f"{image.width} x {image.height} are {pixels / 1e6:.4g} megapixels, allowed {reading.max_megapixels:g} "
                "(max_megapixels)"
            )
        image.load()
        turn = reading.upright and orientation(image) != UPRIGHT
        if turn:
            image = turned_upright(image)
        rgb = to_rgb(image)
    except UnidentifiedImageError:
        if data.startswith(BEGINNING):
            return "Git LFS's pointer to an image; fetch them: git lfs pull"
        return "empty" if not data else "no known image format"
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        return str(error) or type(error).__name__
    return rgb if isinstance(rgb, str) else OpenedImage(rgb=rgb, changed=turn or needs_conversion(image))


@dataclass(frozen=True, slots=True)
class Header:
    """What an encoded image says of itself before it is decoded."""

    orientation: int = UPRIGHT
    """By EXIF."""
    is_transparent: bool = False
    """Whether it has an alpha channel or a transparent colour, used or not."""


def stored_header(data: bytes) -> Header:
    """The header of an encoded image; that of a plain upright one if it cannot be read."""
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        return Header(orientation(image), image.has_transparency_data)
    except (*_DAMAGE, Image.DecompressionBombError, UnidentifiedImageError):
        return Header()
