"""The proximal steps solve the problem that defines them, and keep to their limits."""

import pytest
import torch

from rayforget.train.penalties.l1 import few_kernels_step, l1_proximal_step
from rayforget.train.penalties.l2 import l2_proximal_step

SHAPES = [(1,), (7,), (3, 5), (64, 33)]


def pair(shape: tuple[int, ...], spread: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(sum(shape))
    theta_0 = torch.randn(shape, generator=generator)
    return theta_0 + spread * torch.randn(shape, generator=generator), theta_0


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tau", [1e-3, 0.3, 2.5])
def test_l1_step_is_soft_thresholding_around_theta_0(shape: tuple[int, ...], tau: float) -> None:
    weights, theta_0 = pair(shape)
    gap = weights.double() - theta_0.double()
    expected = theta_0.double() + torch.sign(gap) * torch.clamp(gap.abs() - tau, min=0)
    l1_proximal_step([weights], [theta_0], tau)
    torch.testing.assert_close(weights.double(), expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("tau", [0.01, 1.0, 30.0])
def test_l2_step_minimises_its_objective(tau: float) -> None:
    weights, theta_0 = pair((3, 5))
    before = weights.double().clone()
    l2_proximal_step([weights], [theta_0], tau)
    x = before.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([x], tolerance_grad=1e-12, max_iter=200)

    def objective() -> torch.Tensor:
        optimiser.zero_grad()
        loss = 0.5 * (x - before).square().sum() + 0.5 * tau * (x - theta_0.double()).square().sum()
        loss.backward()
        return loss

    optimiser.step(objective)
    torch.testing.assert_close(weights.double(), x.detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("step", [l1_proximal_step, l2_proximal_step])
def test_tau_0_changes_no_bit(step) -> None:
    weights, theta_0 = pair((64, 33))
    before = weights.clone()
    step([weights], [theta_0], 0.0)
    assert torch.equal(weights, before)


@pytest.mark.parametrize("tau", [1e6, 3e38])
@pytest.mark.parametrize("step", [l1_proximal_step, l2_proximal_step])
def test_large_tau_gives_theta_0_to_the_bit(step, tau: float) -> None:
    weights, theta_0 = pair((64, 33))
    for _ in range(2):
        step([weights], [theta_0], tau)
    torch.testing.assert_close(weights, theta_0, atol=1e-6 if tau == 1e6 else 0, rtol=0)
    assert step is l2_proximal_step or torch.equal(weights, theta_0)


def test_l1_dead_zone_is_theta_0_to_the_bit() -> None:
    weights, theta_0 = pair((1001,), spread=0.01)
    l1_proximal_step([weights], [theta_0], 0.1)
    assert torch.equal(weights, theta_0)


@pytest.mark.parametrize("shape", [(1,), (7,), (1031, 257), (1, 2**18 + 1)])
def test_l1_step_is_the_same_to_the_bit_in_pieces_and_in_one(shape: tuple[int, ...]) -> None:
    weights, theta_0 = pair(shape)
    at_once = weights.clone()
    expected = torch.minimum(torch.maximum(theta_0, weights - 0.3), weights + 0.3)
    l1_proximal_step([weights], [theta_0], 0.3)
    few_kernels_step([at_once], [theta_0], 0.3)
    assert torch.equal(weights, expected)
    assert torch.equal(at_once, expected)


def test_steps_contract_for_every_tau() -> None:
    for step in (l1_proximal_step, l2_proximal_step):
        for tau in (0.5, 2.5, 1e4):
            weights, theta_0 = pair((33,))
            distance = (weights - theta_0).norm()
            for _ in range(5):
                step([weights], [theta_0], tau)
                assert (weights - theta_0).norm() <= distance
                distance = (weights - theta_0).norm()
