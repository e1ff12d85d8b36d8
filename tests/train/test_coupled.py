"""The coupled penalties' analytic gradients are autograd's of the papers' formulae, in float64."""

import pytest
import torch
from torch import nn

from rayforget.train.lora import LoraFactors
from rayforget.train.penalties.coupled import Norm, add_coupled_gradient, add_coupled_lora_gradient


def penalty(distance: torch.Tensor, norm: Norm) -> torch.Tensor:
    return distance.abs().sum() if norm == "l1" else 0.5 * distance.square().sum()


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("shape", [(1,), (3, 5)])
def test_gradient_is_autograds(norm: Norm, shape: tuple[int, ...]) -> None:
    theta_0 = torch.randn(shape, dtype=torch.float64)
    weight = nn.Parameter(theta_0 + torch.randn(shape, dtype=torch.float64))
    (expected,) = torch.autograd.grad(0.3 * penalty(weight - theta_0, norm), [weight])
    weight.grad = torch.ones_like(weight)
    add_coupled_gradient([weight], [theta_0], 0.3, norm)
    torch.testing.assert_close(weight.grad, 1 + expected)


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize(("rank", "inputs", "outputs"), [(1, 3, 5), (4, 7, 2)])
def test_lora_gradient_is_autograds_of_the_merged_distance(norm: Norm, rank: int, inputs: int, outputs: int) -> None:
    a = nn.Parameter(torch.randn(rank, inputs, dtype=torch.float64))
    b = nn.Parameter(torch.randn(outputs, rank, dtype=torch.float64))
    expected = torch.autograd.grad(0.7 * penalty(1.5 * b @ a, norm), [a, b])
    a.grad, b.grad = torch.zeros_like(a), torch.zeros_like(b)
    add_coupled_lora_gradient([LoraFactors(name="w.weight", a=a, b=b, scale=1.5)], 0.7, norm)
    torch.testing.assert_close(a.grad, expected[0])
    torch.testing.assert_close(b.grad, expected[1])


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_at_theta_0_there_is_no_pull(norm: Norm) -> None:
    weight = nn.Parameter(torch.randn(3, 5))
    weight.grad = torch.zeros_like(weight)
    add_coupled_gradient([weight], [weight.detach().clone()], 10.0, norm)
    assert torch.count_nonzero(weight.grad) == 0
