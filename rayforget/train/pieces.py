"""A loss over many targets, made piece by piece: only one piece's logits exist at a time.

    loss = sum over pieces P of f(head(features_P), P)

Each piece's gradients are computed together with its loss, so that its logits can be freed; backward only multiplies
them. The result equals the loss of all logits at once, up to the order of summation.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

LossOfPiece = Callable[[Float[Tensor, "n d"], slice], Tensor]
"""(features of some targets, the slice of the targets) -> the sum of their losses, a scalar."""

_MAX_LOGITS = 2**25
"""Most logits per piece: 128 MiB in fp32."""


def piece_size(num_classes: int) -> int:
    """Targets per piece."""
    return max(1, _MAX_LOGITS // num_classes)


def loss_in_pieces(
    features: Float[Tensor, "n d"], loss_of: LossOfPiece, parameters: list[Tensor], *, size: int
) -> Tensor:
    """The sum of all pieces' losses, a scalar.

    Args:
        features: the features that predict the targets.
        loss_of: makes a piece's logits and its loss; may use `parameters`, and weights that are not trained.
        parameters: the trained weights that it uses, all of which get a gradient.
        size: targets per piece.
    """
    loss: Tensor = _InPieces.apply(features, loss_of, size, *parameters)
    return loss


class _InPieces(torch.autograd.Function):
    """Forward computes the gradients too; backward scales them."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, loss_of: LossOfPiece, size: int, *parameters: Tensor) -> Tensor:
        total = torch.zeros((), dtype=torch.float32, device=features.device)
        of_features = torch.empty_like(features)
        of_parameters = [torch.zeros_like(parameter) for parameter in parameters]
        for start in range(0, len(features), size):
            piece = slice(start, start + size)
            with torch.enable_grad():
                inputs = features[piece].detach().requires_grad_()
                loss = loss_of(inputs, piece)
            first, *others = torch.autograd.grad(loss, (inputs, *parameters))
            of_features[piece] = first
            for whole, part in zip(of_parameters, others, strict=True):
                whole.add_(part)
            total += loss.detach().float()
        ctx.save_for_backward(of_features, *of_parameters)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        of_features, *of_parameters = ctx.saved_tensors
        # Nothing else holds these: scaled in place, the gradients need no second copy.
        return (of_features.mul_(grad.to(of_features.dtype)), None, None, *(each.mul_(grad) for each in of_parameters))
