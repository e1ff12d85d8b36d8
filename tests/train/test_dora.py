"""DoRA is W = m * V / |V| with V = W0 + s * B A: in the merge, in the forward, in its gradients, and at theta_0."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from train.learners import VectorLearner

from rayforget.errors import FoundationError
from rayforget.interpolate.lerp import lerp
from rayforget.space.recipe import LoraAdapter, Recipe
from rayforget.train.dora import row_lengths
from rayforget.train.lora import LoraFactors, attach_lora, merged_weights
from rayforget.train.penalties.kd import Distillation
from rayforget.train.penalties.l1_coupled import CoupledL1Penalty
from rayforget.train.penalties.l2_coupled import CoupledL2Penalty
from rayforget.train.trainer import Trainer

DORA = LoraAdapter(rank=3, scale=1.5, use_dora=True)


def moved(learner: VectorLearner, adapter: LoraAdapter = DORA) -> list[LoraFactors]:
    factors = attach_lora(learner.module, adapter, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for lora in factors:
            lora.b.normal_(generator=generator)
            if lora.magnitude is not None:
                lora.magnitude.mul_(1 + torch.rand(lora.magnitude.shape, generator=generator))
    return factors


def formula(start: Tensor, lora: LoraFactors) -> Tensor:
    """The paper's equation 5, in float64, row by row."""
    assert lora.magnitude is not None
    v = start.double() + lora.scale * lora.b.detach().double() @ lora.a.detach().double()
    rows = [m * row / row.square().sum().sqrt() for m, row in zip(lora.magnitude.detach().double(), v, strict=True)]
    return torch.stack(rows)


def test_merged_at_step_0_is_theta_0_to_the_bit() -> None:
    learner = VectorLearner()
    before = {name: tensor.clone() for name, tensor in learner.module.state_dict().items()}
    merged = merged_weights(learner.module, attach_lora(learner.module, DORA, seed=0))
    assert merged.keys() == before.keys()
    assert all(torch.equal(merged[name], before[name]) for name in before)


def test_the_merge_is_the_papers_equation_and_peft_agrees() -> None:
    from peft.tuners.lora.dora import DoraLinearLayer

    learner = VectorLearner()
    start = {name: tensor.clone() for name, tensor in learner.module.state_dict().items()}
    factors = moved(learner)
    merged = merged_weights(learner.module, factors)
    for lora in factors:
        torch.testing.assert_close(merged[lora.name].double(), formula(start[lora.name], lora), atol=1e-6, rtol=1e-6)
        assert lora.magnitude is not None
        change = lora.scale * lora.b.detach() @ lora.a.detach()
        of_peft = DoraLinearLayer(fan_in_fan_out=False).get_weight_norm(start[lora.name], change, scaling=1)
        peft_s = (lora.magnitude.detach() / of_peft)[:, None] * (start[lora.name] + change)
        torch.testing.assert_close(merged[lora.name], peft_s, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_merged_model_answers_as_the_adapted_one(dropout: float) -> None:
    learner, plain = VectorLearner(), VectorLearner()
    factors = moved(learner, DORA.model_copy(update={"dropout": dropout}))
    plain.module.load_state_dict(merged_weights(learner.module, factors))
    learner.module.eval()
    torch.testing.assert_close(learner.module(learner.features), plain.module(plain.features), atol=1e-5, rtol=1e-5)


def test_gpt2_s_transposed_layers_are_merged_along_their_outputs() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        lm = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=12, n_layer=1, n_head=2, n_positions=16)).eval()
    tokens = torch.arange(9)[None]
    before = {name: tensor.clone() for name, tensor in lm.state_dict().items()}
    factors = attach_lora(lm, LoraAdapter(rank=2, targets=("attention", "mlp"), use_dora=True), seed=0)
    assert all(torch.equal(before[name], tensor) for name, tensor in merged_weights(lm, factors).items())
    with torch.no_grad():
        for lora in factors:
            assert lora.magnitude is not None
            lora.b.normal_()
            lora.magnitude.mul_(1.3)
        expected = lm(input_ids=tokens).logits
        plain = GPT2LMHeadModel(lm.config).eval()
        plain.load_state_dict(merged_weights(lm, factors))
        torch.testing.assert_close(plain(input_ids=tokens).logits, expected, atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_the_equation_with_the_length_held_fixed() -> None:
    """Section 4.3 of the paper: |V| is a constant in the backward pass."""
    learner = VectorLearner()
    layer = nn.Sequential(learner.module.get_submodule("q_proj"))
    (lora,) = moved(_just(layer))
    x, y = learner.features, torch.randn(37, 7)
    (layer(x) * y).sum().backward()
    a, b, m = (p.detach().clone().requires_grad_() for p in lora.trained)
    assert lora.base is not None
    bias = layer.get_parameter("0.base_layer.bias")
    v = lora.base.detach() + lora.scale * b @ a
    weight = m[:, None] * v / v.detach().norm(dim=1, keepdim=True)
    (F.linear(x, weight, bias.detach()) * y).sum().backward()
    for found, expected in zip(lora.trained, (a, b, m), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, atol=1e-4, rtol=1e-4)


def _just(layer: nn.Module) -> Any:
    learner = VectorLearner()
    learner.module = layer
    return learner


def test_under_bf16_the_first_forward_is_theta_0s() -> None:
    layer, adapted = nn.Linear(64, 64), nn.Linear(64, 64)
    adapted.load_state_dict(layer.state_dict())
    module = nn.Sequential(adapted)
    attach_lora(module, LoraAdapter(rank=2, use_dora=True), seed=0)
    x = torch.randn(5, 64, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(module(x), layer(x))


def test_alpha_runs_along_the_lerp_of_the_merged_weights_and_not_of_the_adapter() -> None:
    for adapter, is_linear in ((LoraAdapter(rank=3), True), (DORA, False)):
        learner = VectorLearner()
        theta_0 = {name: tensor.clone() for name, tensor in learner.module.state_dict().items()}
        factors = moved(learner, adapter)
        half = lerp(theta_0, merged_weights(learner.module, factors), 0.5)
        with torch.no_grad():
            for lora in factors:
                lora.b.mul_(0.5)
                if lora.magnitude is not None:
                    lora.magnitude.lerp_(row_lengths(theta_0[lora.name]), 0.5)
        halved = merged_weights(learner.module, factors)
        far = max((half[name] - halved[name]).abs().max().item() for name in half)
        assert (far < 1e-6) == is_linear


def test_rows_without_a_direction_are_refused_by_name() -> None:
    learner = VectorLearner()
    with torch.no_grad():
        learner.module.get_parameter("out_proj.weight")[1] = 0
    with pytest.raises(FoundationError, match="1 rows of out_proj are 0"):
        attach_lora(learner.module, DORA, seed=0)


@pytest.mark.parametrize("kind", ["l1_coupled", "l2_coupled"])
def test_penalties_pull_on_the_merged_distance(kind: str) -> None:
    learner = VectorLearner()
    start = {name: tensor.double() for name, tensor in learner.module.state_dict().items()}
    make: Any = {"l1_coupled": CoupledL1Penalty, "l2_coupled": CoupledL2Penalty}[kind]
    recipe = Recipe(
        method="m", learning_rate=1e-9, epochs=1, batch_size=8, seed=0, clip_norm=None, weight_decay=0.0, adapter=DORA
    )
    gradients = []
    for penalties in ((), (make(kind=kind, strength=0.7),)):
        learner = VectorLearner(noise=0)
        trainer = Trainer(learner, recipe.model_copy(update={"penalties": penalties}), seed=0)
        for lora in trainer._factors:
            with torch.no_grad():
                lora.b.normal_(generator=torch.Generator().manual_seed(3))
                lora.magnitude.mul_(1.5)  # type: ignore[union-attr]
        trainer._gradients()
        with torch.no_grad():
            for hooks in trainer._hooks.values():
                hooks.before_clip()
        gradients.append([[p.grad.clone() for p in lora.trained] for lora in trainer._factors])  # type: ignore[union-attr]
    for lora, without, with_pull in zip(trainer._factors, *gradients, strict=True):
        a, b, m = (p.detach().double().requires_grad_() for p in lora.trained)
        v = start[lora.name] + lora.scale * b @ a
        distance = m[:, None] * v / v.norm(dim=1, keepdim=True) - start[lora.name]
        penalty = distance.abs().sum() if kind == "l1_coupled" else 0.5 * distance.square().sum()
        expected = torch.autograd.grad(0.7 * penalty, (a, b, m))
        for plain, pulled, own in zip(without, with_pull, expected, strict=True):
            torch.testing.assert_close((pulled - plain).double(), own, atol=1e-4, rtol=1e-4)


def test_the_teacher_is_theta_0_whatever_was_trained() -> None:
    """Through the trainer: lengths move too, and with a strength of 0 the teacher changes nothing."""
    recipe = Recipe(method="m", learning_rate=0.1, epochs=2, batch_size=8, seed=0, adapter=DORA)
    learner = VectorLearner()
    trainer = Trainer(
        learner, recipe.model_copy(update={"penalties": (Distillation(kind="kd", strength=1.0),)}), seed=0
    )
    start = merged_weights(learner.module, trainer._factors)
    while trainer.step < trainer.total_steps:
        trainer.take_step()
    plain = VectorLearner()
    plain.module.load_state_dict(start)
    inputs = {"features": learner.features}
    with torch.no_grad():
        trainer._hooks["kd"].before_forward(inputs)
    hooks: Any = trainer._hooks["kd"]
    torch.testing.assert_close(hooks._answer(slice(None)), plain.module(**inputs))
    assert all(
        lora.magnitude is not None and not torch.equal(lora.magnitude.cpu(), row_lengths(start[lora.name]))
        for lora in trainer._factors
    )
