"""open_clip's evaluation transform, cut in two: image -> uint8 pixels (cached), uint8 pixels -> input (per batch).

Together they equal the transform to the last bit on a CPU: the step in between, `ToTensor`, only reorders the axes and
divides by 255, which the second part does here. Images come to it in RGB (`tasks/images/rgb.py`).
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from rayforget.errors import FoundationError


class ClipDecoder:
    """The first part: resize and crop as the model's configuration says; several threads may call it."""

    def __init__(self, preprocess_cfg: Mapping[str, Any]) -> None:
        import torchvision

        self._transforms, _ = _cut_in_two(preprocess_cfg)
        height, width = _size(preprocess_cfg["size"])
        self.shape: tuple[int, int, int] = (3, height, width)
        decides = ("size", "mode", "interpolation", "resize_mode", "fill_color")
        settings = ", ".join(f"{key}={preprocess_cfg[key]!r}" for key in decides)
        self.key: str = f"open_clip evaluation transform ({settings}), torchvision {torchvision.__version__}"

    def __call__(self, image: Image.Image) -> NDArray[np.uint8]:
        """An RGB image of any size, as uint8 of shape (3, H, W)."""
        for transform in self._transforms:
            image = transform(image)
        return np.ascontiguousarray(np.asarray(image, dtype=np.uint8).transpose(2, 0, 1))


class Normalisation:
    """The second part: (pixels / 255 - mean) / std per channel, in fp32."""

    def __init__(self, preprocess_cfg: Mapping[str, Any]) -> None:
        """Raises FoundationError if the result would not be finite."""
        _, normalise = _cut_in_two(preprocess_cfg)
        self.mean, self.std = tuple(map(float, normalise.mean)), tuple(map(float, normalise.std))
        with np.errstate(all="ignore"):
            largest = (1 + np.abs(np.asarray(self.mean, np.float32))) / np.asarray(self.std, np.float32)
        if min(self.std) < 0 or not np.isfinite(largest).all():
            raise FoundationError(
                f"the model's preprocessing takes a mean of {self.mean} from each channel and divides by a standard "
                f"deviation of {self.std}: expected finite numbers, the latter above 0; set foundation.mean and "
                "foundation.std if pretrained is a file, else mend preprocess_cfg in open_clip_config.json"
            )

    def __call__(self, pixels: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """A new tensor on the device of `pixels`."""
        mean, std = _constants(self.mean, self.std, pixels.device)
        return pixels.to(torch.float32).div_(255).sub_(mean).div_(std)


@lru_cache(maxsize=8)
def _constants(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Both as tensors of shape (1, 3, 1, 1); made once, since a copy from Python's numbers waits for the device."""
    first, second = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (mean, std))
    return first, second


def _cut_in_two(preprocess_cfg: Mapping[str, Any]) -> tuple[list[Any], Any]:
    """The steps before ToTensor, and the Normalize after it."""
    from open_clip.transform import MaybeToTensor, PreprocessCfg, image_transform_v2
    from torchvision.transforms import Normalize

    *before, to_tensor, normalise = image_transform_v2(PreprocessCfg(**preprocess_cfg), is_train=False).transforms
    if not isinstance(to_tensor, MaybeToTensor) or not isinstance(normalise, Normalize):
        raise FoundationError(
            f"open_clip's evaluation transform ends in {to_tensor}, {normalise}; expected ToTensor and Normalize: "
            "this version of open_clip is not supported"
        )
    return before, normalise


def _size(size: int | Sequence[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[-1]))
