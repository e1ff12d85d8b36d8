"""A loss made piece by piece equals the loss of all logits at once."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from rayforget.train.pieces import loss_in_pieces, piece_size


def _setting(num_targets: int, num_classes: int = 7) -> tuple[nn.Linear, nn.Linear, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(num_targets)
    body, head = nn.Linear(5, 5).double(), nn.Linear(5, num_classes).double()
    with torch.no_grad():
        for parameter in (*body.parameters(), *head.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    inputs = torch.randn(num_targets, 5, generator=generator, dtype=torch.float64)
    targets = torch.randint(num_classes, (num_targets,), generator=generator)
    return body, head, inputs, targets


def _gradients(body: nn.Linear, head: nn.Linear) -> list[Tensor]:
    return [parameter.grad.clone() for parameter in (*body.parameters(), *head.parameters())]


@pytest.mark.parametrize("num_targets", [1, 5, 12])
@pytest.mark.parametrize("size", [1, 3, 12, 100])
def test_loss_and_gradients_are_those_of_all_logits_at_once(num_targets: int, size: int) -> None:
    body, head, inputs, targets = _setting(num_targets)
    whole = F.cross_entropy(head(body(inputs)), targets, reduction="sum")
    (3 * whole).backward()
    expected = _gradients(body, head)
    body.zero_grad()
    head.zero_grad()

    def loss_of(features: Tensor, piece: slice) -> Tensor:
        return F.cross_entropy(head(features), targets[piece], reduction="sum")

    loss = loss_in_pieces(body(inputs), loss_of, list(head.parameters()), size=size)
    (3 * loss).backward()
    assert loss.item() == pytest.approx(whole.item(), rel=1e-6)
    for found, wanted in zip(_gradients(body, head), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_a_weight_that_is_both_input_and_output_gets_both_gradients() -> None:
    _, _, _, targets = _setting(9)
    tokens = targets.roll(1)
    tied = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    F.cross_entropy(F.embedding(tokens, tied) @ tied.T, targets, reduction="sum").backward()
    assert tied.grad is not None
    expected, tied.grad = tied.grad, None

    def loss_of(features: Tensor, piece: slice) -> Tensor:
        return F.cross_entropy(features @ tied.T, targets[piece], reduction="sum")

    loss_in_pieces(F.embedding(tokens, tied), loss_of, [tied], size=4).backward()
    torch.testing.assert_close(tied.grad, expected)


def test_autocast_holds_inside_the_pieces() -> None:
    _, head, inputs, targets = _setting(6)
    head, features = head.float(), inputs.float().requires_grad_()
    seen = []

    def loss_of(piece_features: Tensor, piece: slice) -> Tensor:
        logits = head(piece_features)
        seen.append(logits.dtype)
        return F.cross_entropy(logits.float(), targets[piece], reduction="sum")

    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss_in_pieces(features, loss_of, list(head.parameters()), size=2).backward()
        F.cross_entropy(head(inputs.float()).float(), targets, reduction="sum")
    assert seen == [torch.bfloat16] * 3
    assert head.weight.grad is not None
    assert head.weight.grad.dtype == torch.float32


def test_a_piece_holds_one_target_at_least() -> None:
    assert piece_size(2**40) == 1
    assert piece_size(50_000) * 50_000 <= 2**25
