"""Two ends of a path: a model with any number of layers, one tensor in each and one that belongs to none."""

import torch
from torch import Tensor

from rayforget.values.layers import Layer


def ends(count: int) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Layer]]:
    """(theta_0, theta_1, layers): `layer1` to `layer{count}`, and `loose`."""
    generator = torch.Generator().manual_seed(count)
    names = [*(f"layer{number}" for number in range(1, count + 1)), "loose"]
    start = {name: torch.randn(5, 3, generator=generator) for name in names}
    end = {name: tensor + 0.1 * torch.randn(5, 3, generator=generator) for name, tensor in start.items()}
    return start, end, {f"layer{index + 1}": Layer(index=index, count=count) for index in range(count)}
