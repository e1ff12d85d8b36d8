"""A path that takes only the largest changes: the trimming of TIES-merging (Yadav et al. 2023, arXiv:2306.01708).

    theta(t) = theta_0 + t * m * (theta_1 - theta_0)

with m = 1 where |theta_1 - theta_0| is among the `keep` largest of its tensor, else 0. keep = 1 is the lerp, to the
bit; with less, theta(1) is not theta_1.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from rayforget.interpolate.paths.path import Path

if TYPE_CHECKING:
    from torch import Tensor

    from rayforget.values.layers import Layer


class Trim(Path):
    """theta_0 with only the largest changes of each tensor, a share `keep` of them."""

    keep: Annotated[float, Field(gt=0, le=1)]
    """Share of a tensor's weights that change; 1 is the lerp."""

    def at(
        self,
        theta_0: "Mapping[str, Tensor]",
        theta_1: "Mapping[str, Tensor]",
        t: float,
        layers: "Mapping[str, Layer]",
    ) -> "dict[str, Tensor]":
        """torch.lerp towards theta_1 for the weights that change, theta_0 elsewhere."""
        import torch

        found = {}
        for name, end in theta_1.items():
            start = theta_0[name]
            change = (end - start).abs()
            least = change.flatten().sort().values[end.numel() - max(1, round(self.keep * end.numel()))]
            found[name] = torch.where(change >= least, torch.lerp(start, end, t), start)
        return found
