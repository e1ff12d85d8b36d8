"""The straight line between the weights (WiSE-FT, Wortsman et al. 2022), which every curve has.

theta(t) = (1 - t) * theta_0 + t * theta_1
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rayforget.interpolate.paths.path import Path

if TYPE_CHECKING:
    from torch import Tensor

    from rayforget.values.layers import Layer


class Lerp(Path):
    """The straight line: every weight goes the share t of the way."""

    def at(
        self,
        theta_0: "Mapping[str, Tensor]",
        theta_1: "Mapping[str, Tensor]",
        t: float,
        layers: "Mapping[str, Layer]",
    ) -> "dict[str, Tensor]":
        """torch.lerp(theta_0, theta_1, t) in fp32."""
        from rayforget.interpolate.lerp import lerp

        return lerp(theta_0, theta_1, t)
