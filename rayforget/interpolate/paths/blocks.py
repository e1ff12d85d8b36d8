"""One alpha for each block of layers, t on average: heterogeneous model averaging (Lin et al. 2023, arXiv:2309.06256).

    theta(t) = theta_0 + alpha_k(t) * (theta_1 - theta_0) for the tensors of block k of K,
    alpha_k(t) = min(max(lead_k + c(t), 0), 1),   c(t) such that the mean over k of alpha_k(t) is t

Blocks are K equal runs of layers by depth: layer index i of L belongs to block floor(i * K / L). lead_k is how far
block k runs ahead of the block that lags most. Every choice of K alphas in [0, 1] with mean t can be reached: it is its
own leads. Equal leads are the lerp, to the bit: c(t) is solved in exact fractions, and every alpha is rounded once. All
alphas are 0 at t = 0, 1 at t = 1, and t itself outside [0, 1]. A tensor that belongs to no layer has t.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from rayforget.errors import FoundationError
from rayforget.interpolate.paths.path import Path

if TYPE_CHECKING:
    from torch import Tensor

    from rayforget.values.layers import Layer


def _from_zero(leads: tuple[float, ...]) -> tuple[float, ...]:
    """The leads shifted so that the smallest is 0: a shift changes nothing, and equal paths must have equal names."""
    return tuple(round(lead - min(leads), 6) for lead in leads)


class Blocks(Path):
    """One alpha for each block of layers, t on average: some depths go ahead, others lag."""

    leads: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1), AfterValidator(_from_zero)]
    """How far each block's alpha is ahead of the one that lags most, embeddings first; equal leads are the lerp."""

    def at(
        self,
        theta_0: "Mapping[str, Tensor]",
        theta_1: "Mapping[str, Tensor]",
        t: float,
        layers: "Mapping[str, Layer]",
    ) -> "dict[str, Tensor]":
        """torch.lerp(theta_0, theta_1, alpha_k(t)) in fp32, tensor by tensor.

        Raises:
            FoundationError: there are more blocks than layers.
        """
        from rayforget.interpolate.lerp import lerp_each

        alphas = self.alphas(t)
        return lerp_each(theta_0, theta_1, {name: self._alpha(layers.get(name), alphas, t) for name in theta_1})

    def alphas(self, t: float) -> tuple[float, ...]:
        """alpha_k of every block, shape (K,)."""
        leads = [Fraction(lead) for lead in self.leads]
        if not 0 < t < 1:
            return (t,) * len(leads)
        shift = _shift(leads, Fraction(t))
        return tuple(float(min(max(lead + shift, Fraction(0)), Fraction(1))) for lead in leads)

    def _alpha(self, layer: "Layer | None", alphas: tuple[float, ...], t: float) -> float:
        if layer is None:
            return t
        if layer.count < len(alphas):
            raise FoundationError(
                f"blocks has leads for {len(alphas)} blocks and the model has {layer.count} layers; "
                f"write at most {layer.count} leads"
            )
        return alphas[layer.index * len(alphas) // layer.count]


def _shift(leads: list[Fraction], t: Fraction) -> Fraction:
    """The c for which the mean of min(max(lead + c, 0), 1) is t, for 0 < t < 1; the mean is piecewise linear in c."""
    corners = sorted({-lead for lead in leads} | {1 - lead for lead in leads})

    def mean(shift: Fraction) -> Fraction:
        return sum((min(max(lead + shift, Fraction(0)), Fraction(1)) for lead in leads), Fraction(0)) / len(leads)

    right = next(place for place, corner in enumerate(corners) if mean(corner) >= t)
    low, high = corners[right - 1], corners[right]
    return low + (high - low) * (t - mean(low)) / (mean(high) - mean(low))
