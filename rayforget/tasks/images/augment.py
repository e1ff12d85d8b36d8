"""Training images -> the same images randomly mirrored and cropped, as one batch, reproducibly."""

from typing import Literal, assert_never

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor
from torch.nn import functional

Augmentation = Literal["none", "flip", "crop"]

AffineMaps = Float[Tensor, "n 2 3"]

CHUNK_PIXELS = 2**24
"""Pixels per channel resampled at once."""
MIN_AREA = 0.9
"""Smallest share of the image that a crop keeps (open_clip's value)."""


def augment(images: UInt8[Tensor, "n 3 h w"], kind: Augmentation, generator: Generator) -> UInt8[Tensor, "n 3 h w"]:
    """The augmented batch; all randomness comes from `generator`, so equal states give equal batches.

    Args:
        images: uint8, on any device.
        kind: the recipe's augmentation.
        generator: on the CPU, wherever the images are.
    """
    return augmented(images, kind, draws(len(images), kind, generator).to(images.device))


def draws(num_images: int, kind: Augmentation, generator: Generator) -> Tensor:
    """All that is random about a batch, on the CPU: for `flip` whether to mirror, (n,); for `crop` maps (n, 2, 3)."""
    match kind:
        case "none":
            return torch.empty(num_images, 0)
        case "flip":
            return torch.rand(num_images, generator=generator) < 0.5
        case "crop":
            return _windows(num_images, generator)
        case _:
            assert_never(kind)


def augmented(images: UInt8[Tensor, "n 3 h w"], kind: Augmentation, drawn: Tensor) -> UInt8[Tensor, "n 3 h w"]:
    """The batch augmented as `draws` decided; both on one device.

    none: returns the images. flip: mirrors each left to right with probability 1/2. crop: flips, then resizes a window
        of 90-100 % of the area to the full size.
    """
    match kind:
        case "none":
            return images
        case "flip":
            return torch.where(drawn[:, None, None, None], images.flip(-1), images)
        case "crop":
            return _crop(images, drawn)
        case _:
            assert_never(kind)


def _windows(num_images: int, generator: Generator) -> AffineMaps:
    """Random maps from the output's coordinates in [-1, 1] to the input's.

    area ~ U(0.9, 1); log(width / height) ~ U(log area, -log area), which are all the aspect ratios that fit into the
    image; the position is uniform; half of the maps mirror x.
    """
    area_draw, ratio_draw, x_draw, y_draw, flip_draw = torch.rand(5, num_images, generator=generator).unbind()
    area = 1 - (1 - MIN_AREA) * area_draw
    ratio = torch.exp((1 - 2 * ratio_draw) * torch.log(area))
    width, height = torch.sqrt(area * ratio).clamp(max=1), torch.sqrt(area / ratio).clamp(max=1)
    maps = torch.zeros(num_images, 2, 3)
    maps[:, 0, 0] = torch.where(flip_draw < 0.5, -width, width)
    maps[:, 1, 1] = height
    maps[:, 0, 2] = (2 * x_draw - 1) * (1 - width)
    maps[:, 1, 2] = (2 * y_draw - 1) * (1 - height)
    return maps


def _crop(images: UInt8[Tensor, "n 3 h w"], windows: AffineMaps) -> UInt8[Tensor, "n 3 h w"]:
    """The images seen through the windows, bicubic, in chunks that keep the float copies small."""
    n, _, h, w = images.shape
    per_chunk = max(1, CHUNK_PIXELS // (h * w))
    result = torch.empty_like(images)
    for start in range(0, n, per_chunk):
        chunk = slice(start, start + per_chunk)
        grid = functional.affine_grid(windows[chunk], [len(images[chunk]), 3, h, w], align_corners=False)
        # A window may touch the image's edge; the edge's pixels then fill what the filter needs beyond it.
        seen = functional.grid_sample(
            images[chunk].float(), grid, mode="bicubic", padding_mode="border", align_corners=False
        )
        result[chunk] = seen.round_().clamp_(0, 255).to(torch.uint8)
    return result
