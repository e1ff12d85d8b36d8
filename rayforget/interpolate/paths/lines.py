"""LiNeS: shallow layers go a smaller part of the way than deep ones (Wang et al. 2024, arXiv:2410.17146).

    theta(t) = theta_0 + t * lambda_l * (theta_1 - theta_0),   lambda_l = gamma + (1 - gamma) * (l - 1) / (L - 1)

for a tensor of layer l of L (1 = embeddings, L = output). The paper's alpha is gamma, its beta 1 - gamma. gamma = 1 is
the lerp, to the bit. Only the deepest layer reaches theta_1 at t = 1. With L = 1 the only layer counts as the deepest:
lambda = 1. The same holds for a tensor that belongs to no layer.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from rayforget.interpolate.paths.path import Path

if TYPE_CHECKING:
    from torch import Tensor

    from rayforget.values.layers import Layer


class Lines(Path):
    """LiNeS: theta_0 + t * lambda_l * (theta_1 - theta_0), lambda_l rising evenly from gamma to 1 with depth."""

    gamma: Annotated[float, Field(ge=0, le=1)]
    """lambda of the first layer, the embeddings; 1 is the lerp."""

    def at(
        self,
        theta_0: "Mapping[str, Tensor]",
        theta_1: "Mapping[str, Tensor]",
        t: float,
        layers: "Mapping[str, Layer]",
    ) -> "dict[str, Tensor]":
        """torch.lerp(theta_0, theta_1, t * lambda_l) in fp32, tensor by tensor."""
        from rayforget.interpolate.lerp import lerp_each

        return lerp_each(theta_0, theta_1, {name: t * self._share(layers.get(name)) for name in theta_1})

    def _share(self, layer: "Layer | None") -> float:
        """lambda of a layer whose depth is (l - 1) / (L - 1), or 1 if L = 1."""
        return 1.0 if layer is None else self.gamma + (1 - self.gamma) * layer.depth
