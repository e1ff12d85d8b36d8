"""EWC: the Fisher information equals a plain loop's over samples, the step its equation, and its limits are exact."""

import math
from collections.abc import Callable, Iterator, Mapping

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from train.learners import VectorLearner

from rayforget.errors import TrainingError
from rayforget.foundations.protocol import Learner
from rayforget.space.recipe import Recipe
from rayforget.train.fisher import diagonal_fisher, normalised
from rayforget.train.loop import Snapshot, train
from rayforget.train.penalties.ewc import ewc_proximal_step
from rayforget.train.penalties.l2 import l2_proximal_step


class VectorSources:
    """Vectors of another seed, at the same theta_0; keeps what was made."""

    def __init__(self, learner: Callable[[], VectorLearner]) -> None:
        self._learner = learner
        self.known: dict[str, Mapping[str, Tensor]] = {}
        self.made = 0

    def learner(self, task: str, split: str) -> Learner:
        return self._learner()

    def kept(self, what: Mapping[str, str], make: Callable[[], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        key = str(sorted(what.items()))
        if key not in self.known:
            self.made += 1
            self.known[key] = make()
        return self.known[key]


def still(**changed: int) -> VectorLearner:
    """Vectors without noise, independent of any generator."""
    return VectorLearner(noise=0.0, **changed)


def brute_force(learner: VectorLearner, indices: list[int]) -> dict[str, Tensor]:
    """The mean over samples of squared gradients, one after another, in float64."""
    module = learner.module.double()
    sums = {name: torch.zeros_like(p) for name, p in module.named_parameters()}
    for index in indices:
        module.zero_grad()
        F.cross_entropy(module(learner.features[index : index + 1].double()), learner.targets[[index]]).backward()
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None
            sums[name] += parameter.grad**2
    return {name: total / len(indices) for name, total in sums.items()}


@pytest.mark.parametrize("num_items", [1, 37])
def test_the_fisher_information_is_the_loops_over_samples(num_items: int) -> None:
    found = diagonal_fisher(still(num_items=num_items), num_items)
    for name, expected in brute_force(still(num_items=num_items), list(range(num_items))).items():
        torch.testing.assert_close(found[name].double(), expected, rtol=1e-5, atol=1e-12)


def test_fewer_samples_are_spread_over_the_whole_set() -> None:
    found = diagonal_fisher(still(), 3)
    for name, expected in brute_force(still(), [0, 18, 36]).items():
        torch.testing.assert_close(found[name].double(), expected, rtol=1e-5, atol=1e-12)


def test_it_is_not_the_square_of_the_mean_gradient() -> None:
    learner = still()
    loss = F.cross_entropy(learner.module(learner.features), learner.targets)
    gradients = torch.autograd.grad(loss, list(learner.module.parameters()))
    found = diagonal_fisher(learner, learner.num_items)
    assert sum(float(of_weight.sum()) for of_weight in found.values()) > 5 * sum(
        float(gradient.square().sum()) for gradient in gradients
    )


def test_a_texts_targets_are_summed_before_they_are_squared() -> None:
    class Words(VectorLearner):
        """Two targets for each item, as a text has answer tokens."""

        def batch(self, indices: Tensor, generator: torch.Generator) -> object:  # type: ignore[override]
            one = super().batch(indices, generator)
            inputs = {"features": one.inputs["features"].repeat(2, 1) * torch.tensor([[1.0], [-2.0]])}
            return type(one)(inputs=inputs, targets=torch.cat((one.targets, 2 - one.targets)))

    learner = Words(noise=0.0, num_items=1)
    batch = learner.batch(torch.tensor([0]), torch.Generator())
    loss = F.cross_entropy(learner.module(**batch.inputs), batch.targets, reduction="sum")  # type: ignore[attr-defined]
    expected = torch.autograd.grad(loss, list(learner.module.parameters()))
    for found, gradient in zip(diagonal_fisher(learner, 1).values(), expected, strict=True):
        torch.testing.assert_close(found, gradient**2)


def test_the_uses_of_a_tied_tensor_are_summed_before_they_are_squared() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(5, 5, bias=False)
            self.second = nn.Linear(5, 5, bias=False)
            self.second.weight = self.first.weight

        def forward(self, features: Tensor) -> Tensor:
            result: Tensor = self.second(torch.tanh(self.first(features)))
            return result

    learner = still(num_items=3)
    torch.manual_seed(0)
    learner.module = Tied()
    (found,) = diagonal_fisher(learner, 3).values()
    expected = torch.zeros(5, 5)
    for index in range(3):
        loss = F.cross_entropy(learner.module(learner.features[[index]]), learner.targets[[index]])
        expected += torch.autograd.grad(loss, learner.module.first.weight)[0] ** 2 / 3  # type: ignore[arg-type]
    torch.testing.assert_close(found, expected)


def test_its_mean_over_all_trained_weights_is_1_and_the_factor_is_known() -> None:
    fisher = {"a": torch.tensor([1.0, 3.0]), "b": torch.tensor([[2.0]])}
    scaled, mean = normalised(fisher, {"a": torch.empty(2), "b": torch.empty(1, 1), "has_none": torch.empty(3)})
    assert mean == 1.0
    assert float(sum(of_weight.sum() for of_weight in scaled.values())) == 6.0


SHAPES: list[tuple[int, ...]] = [(1,), (7, 3), (70_001,)]


@pytest.fixture(params=SHAPES, ids=str)
def tensors(request: pytest.FixtureRequest) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """(theta, theta_0, F), with a third of F at 0."""
    generator = torch.Generator().manual_seed(3)
    theta, theta_0, fisher = (torch.randn(request.param, generator=generator) for _ in range(3))
    fisher = fisher.square() * (torch.rand(request.param, generator=generator) > 1 / 3)
    return iter([(theta, theta_0, fisher)])


@pytest.mark.parametrize("tau", [1e-6, 0.3, 50.0])
def test_the_step_is_the_equation(tensors: Iterator[tuple[Tensor, Tensor, Tensor]], tau: float) -> None:
    theta, theta_0, fisher = next(tensors)
    scaled = tau * fisher.double()
    expected = (theta.double() + scaled * theta_0.double()) / (1 + scaled)
    ewc_proximal_step(theta, theta_0, fisher, tau)
    torch.testing.assert_close(theta.double(), expected, rtol=3e-7, atol=3e-7)


def test_tau_0_changes_no_bit(tensors: Iterator[tuple[Tensor, Tensor, Tensor]]) -> None:
    theta, theta_0, fisher = next(tensors)
    before = theta.clone()
    ewc_proximal_step(theta, theta_0, fisher, 0.0)
    assert torch.equal(theta, before)


@pytest.mark.parametrize("tau", [1e39, 1e300, math.inf])
def test_a_very_large_tau_gives_theta_0_where_the_weight_matters_and_changes_nothing_where_not(
    tensors: Iterator[tuple[Tensor, Tensor, Tensor]], tau: float
) -> None:
    theta, theta_0, fisher = next(tensors)
    before = theta.clone()
    ewc_proximal_step(theta, theta_0, fisher, tau)
    assert torch.equal(theta, torch.where(fisher > 0, theta_0, before))


@pytest.mark.parametrize("tau", [1e-3, 0.5, 30.0])
def test_where_every_weight_matters_alike_it_is_l2(
    tensors: Iterator[tuple[Tensor, Tensor, Tensor]], tau: float
) -> None:
    theta, theta_0, _ = next(tensors)
    by_l2 = theta.clone()
    l2_proximal_step([by_l2], [theta_0], tau)
    ewc_proximal_step(theta, theta_0, torch.ones_like(theta), tau)
    ulp = torch.nextafter(by_l2.abs(), torch.tensor(math.inf)) - by_l2.abs()
    assert bool(((theta - by_l2).abs() <= ulp).all())


def recipe(strength: float, **changed: object) -> Recipe:
    penalty = {"kind": "ewc", "strength": strength, "data": {"task": "s", "split": "train"}}
    base = {"method": "m", "learning_rate": 1e-2, "epochs": 2, "batch_size": 8, "seed": 0, "penalties": [penalty]}
    return Recipe.model_validate({**base, **changed})


def final(recipe: Recipe, sources: VectorSources) -> Snapshot:
    (snapshot,) = train(VectorLearner(), recipe, seed=7, fractions=(1.0,), sources=sources)
    return snapshot


def test_a_training_is_held_where_its_weights_matter_and_its_record_says_by_how_much() -> None:
    sources = VectorSources(still)
    free, held = final(recipe(0.0), sources), final(recipe(1e12), sources)
    assert sources.made == 1  # a strength of 0 asks for nothing
    theta_0 = VectorLearner().module.state_dict()
    assert all(torch.allclose(held.theta_1[name], theta_0[name], atol=1e-6) for name in theta_0)
    assert not torch.allclose(free.theta_1["q_proj.weight"], theta_0["q_proj.weight"], atol=1e-3)
    expected = brute_force(still(), list(range(37)))
    mean = sum(float(of_weight.sum()) for of_weight in expected.values()) / sum(w.numel() for w in expected.values())
    assert held.facts["fisher_mean"] == pytest.approx(mean, rel=1e-5)
    assert held.facts["fisher_data"] == "s/train"


def test_it_is_made_once_for_all_trainings() -> None:
    sources = VectorSources(still)
    for strength in (1.0, 10.0):
        final(recipe(strength), sources)
    assert sources.made == 1


def test_without_data_of_its_own_it_says_so() -> None:
    with pytest.raises(TrainingError, match="Fisher information on s/train needs data"):
        list(train(VectorLearner(), recipe(1.0), seed=7, fractions=(1.0,)))


def test_with_a_lora_it_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="LoRA trains none: write kind: l2_coupled"):
        recipe(1.0, adapter={"kind": "lora", "rank": 2})
