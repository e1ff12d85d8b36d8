"""DoRA (Liu et al. 2024): a LoRA whose rows keep a trained length m, whatever A and B do to their direction.

    W = m * V / |V|,   V = W0 + scale * B @ A,   |V| the length of each of V's rows (one for each output)

m (out) starts at |W0|, so that W is W0 at the start. In training |V| passes no gradient on, as in section 4.3 of the
paper. theta_1 holds the merged W. The model at alpha is lerp(W0, W), as for every method; since W is not linear in B,
that is another model than DoRA with B * alpha, while for a plain LoRA the two are the same.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor, nn

from rayforget.errors import FoundationError


def row_lengths(weight: Float[Tensor, "out in"]) -> Float[Tensor, " out"]:
    """The length of each row, in fp32; summed in float64, so that every machine finds the same."""
    lengths: Tensor = torch.linalg.vector_norm(weight, dim=1, dtype=torch.float64)
    return lengths.to(torch.float32)


def with_lengths(direction: Float[Tensor, "out in"], lengths: Float[Tensor, " out"]) -> Float[Tensor, "out in"]:
    """lengths * direction / |direction|; a direction that has these lengths already is returned to the bit."""
    return direction * (lengths / row_lengths(direction))[:, None]


class Magnitude(nn.Module):
    """The lengths m of one adapted layer; takes the place of peft's, which makes B @ A in bf16 under autocast."""

    def __init__(self, lengths: Float[Tensor, " out"], *, transposed: bool) -> None:
        """Starts at these lengths.

        Args:
            lengths: the lengths of the layer's rows at theta_0.
            transposed: whether the layer's weight has shape (in, out).
        """
        super().__init__()
        self.weight = nn.Parameter(lengths)
        self._transposed = transposed

    def forward(
        self,
        x: Tensor,
        *,
        lora_A: nn.Module,  # noqa: N803
        lora_B: nn.Module,  # noqa: N803
        scaling: float,
        base_layer: nn.Module,
        base_result: Tensor | None = None,
        adapter_name: str = "",
    ) -> Tensor:
        """What peft adds to the base layer's output: (m / |V| - 1) * x @ W0^T + m / |V| * scale * x @ A^T @ B^T."""
        weight = cast(Tensor, base_layer.weight)
        base = weight.T if self._transposed else weight
        bias = cast(Tensor | None, base_layer.bias)
        with torch.autocast(x.device.type, enabled=False):
            with torch.no_grad():
                change = scaling * (cast(Tensor, lora_B.weight) @ cast(Tensor, lora_A.weight))
                lengths = torch.linalg.vector_norm(base + change, dim=1)
            factor = self.weight / lengths
        if base_result is None:  # x went through the adapter's dropout
            base_result = F.linear(x, base)
        elif bias is not None:
            base_result = base_result - bias
        added: Tensor = (factor - 1) * base_result + factor * (lora_B(lora_A(x)) * scaling)
        return added


def add_magnitudes(module: nn.Module, adapter: str) -> None:
    """Gives every layer that peft adapted the lengths of its own rows.

    Raises:
        FoundationError: a row is 0, which has no direction; names the layer.
    """
    for name, part in module.named_modules():
        if not hasattr(part, "lora_magnitude_vector"):
            continue
        layer: Any = part
        transposed = bool(getattr(layer, "fan_in_fan_out", False))
        weight = layer.base_layer.weight.detach()
        lengths = row_lengths((weight.T if transposed else weight).to("cpu", torch.float32))
        if not lengths.all():
            raise FoundationError(
                f"adapter.use_dora: {int((lengths == 0).sum())} rows of {name} are 0 and have no direction to keep "
                "apart from their length; leave the layer out of adapter.targets, or write use_dora: false"
            )
        layer.lora_magnitude_vector[adapter] = Magnitude(lengths.to(weight.device), transposed=transposed)
