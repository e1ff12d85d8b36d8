"""The coupled penalties' analytic gradients equal autograd's of the papers' formulae, in float64."""

import pytest
import torch
from torch import nn
from train.learners import VectorLearner

from rayforget.train.lora import LoraFactors
from rayforget.train.penalties.hooks import Penalty, Training
from rayforget.train.penalties.l1_coupled import CoupledL1Penalty
from rayforget.train.penalties.l2_coupled import CoupledL2Penalty

KINDS = ["l1_coupled", "l2_coupled"]


def of_kind(kind: str, strength: float) -> Penalty:
    if kind == "l1_coupled":
        return CoupledL1Penalty(kind="l1_coupled", strength=strength)
    return CoupledL2Penalty(kind="l2_coupled", strength=strength)


def formula(distance: torch.Tensor, kind: str) -> torch.Tensor:
    return distance.abs().sum() if kind == "l1_coupled" else 0.5 * distance.square().sum()


def pull(penalty: Penalty, weights: list[nn.Parameter], start: list[torch.Tensor], factors: list[LoraFactors]) -> None:
    """Runs the hook on these weights."""
    training = Training(
        learner=VectorLearner(),
        weights={str(i): weight for i, weight in enumerate(weights)},
        start={str(i): value for i, value in enumerate(start)},
        factors=factors,
        sharded=False,
        sources=None,
    )
    hooks = penalty.prepare(training)
    with torch.no_grad():
        hooks.before_clip()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1,), (3, 5)])
def test_gradient_is_autograds(kind: str, shape: tuple[int, ...]) -> None:
    theta_0 = torch.randn(shape, dtype=torch.float64)
    weight = nn.Parameter(theta_0 + torch.randn(shape, dtype=torch.float64))
    (expected,) = torch.autograd.grad(0.3 * formula(weight - theta_0, kind), [weight])
    weight.grad = torch.ones_like(weight)
    pull(of_kind(kind, 0.3), [weight], [theta_0], [])
    torch.testing.assert_close(weight.grad, 1 + expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rank", "inputs", "outputs"), [(1, 3, 5), (4, 7, 2)])
def test_lora_gradient_is_autograds_of_the_merged_distance(kind: str, rank: int, inputs: int, outputs: int) -> None:
    a = nn.Parameter(torch.randn(rank, inputs, dtype=torch.float64))
    b = nn.Parameter(torch.randn(outputs, rank, dtype=torch.float64))
    expected = torch.autograd.grad(0.7 * formula(1.5 * b @ a, kind), [a, b])
    a.grad, b.grad = torch.zeros_like(a), torch.zeros_like(b)
    pull(of_kind(kind, 0.7), [], [], [LoraFactors(name="w.weight", a=a, b=b, scale=1.5)])
    torch.testing.assert_close(a.grad, expected[0])
    torch.testing.assert_close(b.grad, expected[1])


@pytest.mark.parametrize("kind", KINDS)
def test_at_theta_0_there_is_no_pull(kind: str) -> None:
    weight = nn.Parameter(torch.randn(3, 5))
    weight.grad = torch.zeros_like(weight)
    pull(of_kind(kind, 10.0), [weight], [weight.detach().clone()], [])
    assert torch.count_nonzero(weight.grad) == 0
