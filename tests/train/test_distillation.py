"""Distillation: its equation, its limit at theta_0, and a teacher that disturbs nothing."""

import pytest
import torch
from train.learners import VectorLearner

from rayforget.space.recipe import LoraAdapter
from rayforget.train.distillation import distillation_loss, teacher_output
from rayforget.train.lora import attach_lora
from rayforget.train.teacher import ask_teacher


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("shape", [(1, 2), (7, 3)])
def test_loss_and_gradient_are_the_equations(temperature: float, shape: tuple[int, int]) -> None:
    student, teacher = torch.randn(shape, dtype=torch.float64, requires_grad=True), torch.randn(shape)
    loss = distillation_loss(student, teacher, temperature)
    (gradient,) = torch.autograd.grad(3 * loss, student)
    p, q = (teacher.double() / temperature).softmax(-1), (student / temperature).softmax(-1)
    expected = temperature**2 * (p * (p.log() - q.log())).sum()
    torch.testing.assert_close(loss.double(), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(gradient, torch.autograd.grad(3 * expected, student)[0], atol=1e-5, rtol=1e-5)


def test_a_loss_scale_lifts_the_gradient_before_fp16_rounds_it() -> None:
    scale, teacher = 2.0**15, 1e-4 * torch.randn(3, 4096, generator=torch.Generator().manual_seed(0))
    gradients = []
    for dtype in (torch.float16, torch.float64):
        logits = torch.zeros(3, 4096, dtype=dtype, requires_grad=True)
        (scale * distillation_loss(logits, teacher, 1.0)).backward()
        assert logits.grad is not None
        gradients.append(logits.grad.double())
    assert gradients[1].abs().median() < scale * torch.finfo(torch.float16).smallest_normal / 1000
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0.01, atol=1e-6)


def test_a_changed_gradient_is_not_handed_out_twice() -> None:
    student = torch.randn(7, 3, requires_grad=True)
    loss = distillation_loss(student, torch.randn(7, 3), 1.0)
    torch.autograd.grad(2 * loss, student, retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(2 * loss, student)


def test_at_theta_0_loss_and_gradient_are_zero() -> None:
    logits = torch.randn(7, 3, requires_grad=True)
    loss = distillation_loss(logits, logits.detach().clone(), 2.0)
    loss.backward()
    assert abs(loss.item()) < 1e-6
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6


def test_gradient_keeps_its_size_when_the_temperature_changes() -> None:
    student, teacher = torch.randn(64, 5), torch.randn(64, 5)
    norms = []
    for temperature in (20.0, 40.0):
        logits = student.clone().requires_grad_()
        distillation_loss(logits, teacher, temperature).backward()
        assert logits.grad is not None
        norms.append(logits.grad.norm().item())
    assert norms[0] == pytest.approx(norms[1], rel=0.05)


@pytest.mark.parametrize("lora", [False, True])
def test_teacher_answers_as_theta_0_whatever_was_trained_since(lora: bool) -> None:
    learner = VectorLearner()
    inputs = {"features": learner.features}
    expected = learner.module(**inputs).detach()
    if lora:
        attach_lora(learner.module, LoraAdapter(rank=3, targets=("q_proj", "out_proj"), dropout=0.5), seed=1)
    trained = {name: p for name, p in learner.module.named_parameters() if p.requires_grad}
    start = {name: p.detach().clone() for name, p in trained.items()}
    with torch.no_grad():
        for parameter in trained.values():
            parameter.add_(torch.randn_like(parameter))
    learner.module.train()
    rng = torch.get_rng_state()
    torch.testing.assert_close(teacher_output(learner.module, start, inputs), expected, atol=0, rtol=0)
    assert torch.equal(rng, torch.get_rng_state())
    assert all(part.training for part in learner.module.modules())
    assert not torch.allclose(learner.module(**inputs), expected)


@pytest.mark.parametrize("sharded", [False, True])
def test_the_teacher_answers_in_inference_mode_unless_its_weights_are_gathered_for_the_student_too(
    sharded: bool,
) -> None:
    learner = VectorLearner()
    modes: list[bool] = []
    layer = learner.module.get_submodule("q_proj")
    layer.register_forward_hook(lambda *_: modes.append(torch.is_inference_mode_enabled()))
    batch = learner.batch(torch.arange(5), torch.Generator().manual_seed(0))
    attach_lora(learner.module, LoraAdapter(rank=1), seed=0)
    answer = ask_teacher(learner.module, None, {}, {}, batch.inputs, sharded=sharded)
    assert modes == [not sharded]
    loss = distillation_loss(learner.module(**batch.inputs), answer(slice(None)), 2.0)
    loss.backward()
    assert any(weight.grad is not None for weight in learner.module.parameters())
