"""A whole training: what must not change a bit, what must stop it, and the limits of every method."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from train.learners import VectorLearner

from rayforget.errors import TrainingError
from rayforget.eviction import EvictedError, told_by
from rayforget.space.recipe import Recipe
from rayforget.train.loop import Snapshot, train
from rayforget.train.trainer import Trainer

LORA = {"kind": "lora", "rank": 3, "targets": ["q_proj", "out_proj"]}


def recipe(**changes: Any) -> Recipe:
    base = {"method": "m", "learning_rate": 1e-2, "epochs": 3, "batch_size": 8, "seed": 0}
    return Recipe.model_validate({**base, **changes})


def run(changed: Recipe, **options: Any) -> list[Snapshot]:
    return list(train(VectorLearner(), changed, seed=11, **{"fractions": (1.0,), **options}))


def final(changed: Recipe, **options: Any) -> dict[str, Tensor]:
    return dict(run(changed, **options)[-1].theta_1)


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def distance(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def theta_0() -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in VectorLearner().module.state_dict().items()}


def test_a_training_learns() -> None:
    learner = VectorLearner()
    before = torch.nn.functional.cross_entropy(learner.module(learner.features), learner.targets)
    list(train(learner, recipe(epochs=30, weight_decay=0), seed=0, fractions=(1.0,)))
    after = torch.nn.functional.cross_entropy(learner.module(learner.features), learner.targets)
    assert after < 0.85 * before


@pytest.mark.parametrize("adapter", [{"kind": "full"}, LORA])
def test_the_same_recipe_and_seed_give_the_same_bits(adapter: dict[str, Any]) -> None:
    assert same(final(recipe(adapter=adapter)), final(recipe(adapter=adapter)))


@pytest.mark.parametrize("kind", ["l1", "l2", "l1_coupled", "l2_coupled", "kd"])
def test_strength_0_is_plain_fine_tuning_to_the_bit(kind: str) -> None:
    assert same(final(recipe(penalties=[{"kind": kind, "strength": 0}])), final(recipe()))


@pytest.mark.parametrize("kind", ["l1_coupled", "l2_coupled", "kd"])
def test_strength_0_is_plain_lora_to_the_bit(kind: str) -> None:
    changed = recipe(adapter=LORA, penalties=[{"kind": kind, "strength": 0}])
    assert same(final(changed), final(recipe(adapter=LORA)))


@pytest.mark.parametrize("kind", ["l1", "l2"])
def test_a_huge_proximal_strength_leaves_theta_0(kind: str) -> None:
    held = final(recipe(penalties=[{"kind": kind, "strength": 1e12}]))
    assert distance(held, theta_0()) < (1e-12 if kind == "l1" else 1e-7)


@pytest.mark.parametrize(
    ("kind", "strengths"),
    [("l1", (0, 0.03, 0.3)), ("l2", (0, 3, 100)), ("l2_coupled", (0, 0.3, 30)), ("l1_coupled", (0, 0.01, 1))],
)
def test_a_larger_strength_stays_closer_to_theta_0(kind: str, strengths: tuple[float, ...]) -> None:
    plain = {"weight_decay": 0.0}
    norms = []
    for strength in strengths:
        trained = final(recipe(penalties=[{"kind": kind, "strength": strength}], **plain))
        start = theta_0()
        norms.append(sum(float((trained[name] - start[name]).square().sum()) for name in start) ** 0.5)
    assert norms[0] > norms[1] > norms[2] > 0


@pytest.mark.parametrize("adapter", [{"kind": "full"}, LORA])
def test_strong_distillation_keeps_theta_0s_answers(adapter: dict[str, Any]) -> None:
    learner = VectorLearner()
    before = learner.module(learner.features).softmax(-1).detach()
    moved = []
    for strength in (0, 100):
        learner = VectorLearner()
        penalties = [{"kind": "kd", "strength": strength}]
        changed = recipe(penalties=penalties, adapter=adapter, weight_decay=0, epochs=10)
        list(train(learner, changed, seed=0, fractions=(1.0,)))
        after = learner.module.eval()(learner.features).softmax(-1).detach()
        moved.append(float((after - before).abs().max()))
    assert moved[1] < 0.25 * moved[0]


def test_snapshots_come_at_their_fractions_and_leave_the_training_alone() -> None:
    snapshots = run(recipe(epochs=4), fractions=(0.25, 0.5, 1.0))
    assert [snapshot.fraction for snapshot in snapshots] == [0.25, 0.5, 1.0]
    assert snapshots[-1].step == 4 * 37 // 8
    assert same(dict(snapshots[-1].theta_1), final(recipe(epochs=4)))


def test_accumulated_micro_batches_are_the_whole_batch() -> None:
    whole, *parts = (
        dict(list(train(VectorLearner(noise=0), recipe(accumulation=n), seed=1, fractions=(1.0,)))[-1].theta_1)
        for n in (1, 2, 4)
    )
    assert all(distance(whole, part) < 1e-5 for part in parts)


class DeathError(Exception):
    """Simulates a worker's death in the middle of a training."""


@pytest.mark.parametrize("adapter", [{"kind": "full"}, {**LORA, "dropout": 0.3}])
@pytest.mark.parametrize("dies_at", [1, 5, 7, 12])
def test_a_resumed_training_ends_in_the_same_bits(adapter: dict[str, Any], dies_at: int) -> None:
    changed = recipe(adapter=adapter, penalties=[{"kind": "kd", "strength": 0.5}])
    saved: list[Any] = []

    def die(step: int, steps: int) -> None:
        if step == dies_at:
            raise DeathError

    def until_death() -> Iterator[Snapshot]:
        yield from train(
            VectorLearner(),
            changed,
            seed=11,
            fractions=(0.5, 1.0),
            save=lambda state: saved.append(copy.deepcopy(state)),
            save_every_s=0,
            progress=die,
        )

    with pytest.raises(DeathError):
        list(until_death())
    resumed = run(changed, fractions=(0.5, 1.0), resume=saved[-1] if saved else None)
    assert same(dict(resumed[-1].theta_1), final(changed))


def test_a_notice_saves_at_once_and_ends_and_no_bit_is_lost() -> None:
    saved: list[Any] = []
    told = iter([False, False, True])
    with told_by(lambda: next(told)), pytest.raises(EvictedError, match="saved at step 3 of 13"):
        run(recipe(), save=lambda state: saved.append(copy.deepcopy(state)), save_every_s=1000, fractions=(3 / 13, 1.0))
    assert [state["step"] for state in saved] == [3]
    resumed = run(recipe(), fractions=(3 / 13, 1.0), resume=saved[0])
    assert [snapshot.step for snapshot in resumed] == [3, 13]
    assert same(dict(resumed[-1].theta_1), final(recipe()))


def test_a_notice_at_the_last_step_comes_too_late_to_matter() -> None:
    steps: list[int] = []
    with told_by(lambda: len(steps) == 13):
        (last,) = run(recipe(), save=steps.append, progress=lambda step, _: steps.append(step))
    assert last.step == 13


def test_a_state_saved_at_a_snapshot_yields_that_snapshot_again() -> None:
    saved: list[Any] = []
    first = run(recipe(), fractions=(0.5, 1.0), save=lambda state: saved.append(copy.deepcopy(state)))
    again = run(recipe(), fractions=(0.5, 1.0), resume=saved[0])
    assert [snapshot.step for snapshot in again] == [snapshot.step for snapshot in first]


def test_saving_takes_a_twentieth_of_the_time_and_the_end_is_not_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    now, saved = [0.0], []

    def step(done: int, steps: int) -> None:
        now[0] += 1

    def save(state: Any) -> None:
        saved.append(state["step"])
        now[0] += 0.25

    with monkeypatch.context() as patched:
        patched.setattr("rayforget.train.loop.time.monotonic", lambda: now[0])
        run(recipe(), save=save, save_every_s=0.5, progress=step)
        assert saved == [1, 6, 11]
        saved.clear()
        run(recipe(), save=save, save_every_s=3, progress=step, fractions=(2 / 13, 1.0))
        assert saved == [2, 7, 12]
        saved.clear()
        run(recipe(epochs=1, batch_size=37), save=save, save_every_s=0.5, progress=step)
    assert saved == []


def test_one_worker_in_a_process_group_trains_the_same_bits_without_ddp(tmp_path: Path) -> None:
    alone = final(recipe(penalties=[{"kind": "kd", "strength": 0.5}], accumulation=2))
    dist.init_process_group("gloo", f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        trainer = Trainer(VectorLearner(), recipe(), seed=0)
        assert trainer._forward is trainer.learner.module
        assert same(final(recipe(penalties=[{"kind": "kd", "strength": 0.5}], accumulation=2)), alone)
    finally:
        dist.destroy_process_group()


def test_a_loss_that_is_not_finite_stops_before_the_step() -> None:
    learner = VectorLearner()
    learner.features[3] = torch.inf
    before = {name: tensor.clone() for name, tensor in learner.module.state_dict().items()}
    with pytest.raises(TrainingError, match=r"loss is not finite at step 1 of 1; lower learning_rate"):
        list(train(learner, recipe(epochs=1, batch_size=37), seed=0, fractions=(1.0,)))
    assert same(dict(learner.module.state_dict()), before)


def test_a_gradient_that_is_not_finite_stops_before_the_step() -> None:
    class Exploding(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
            return grad * torch.nan

    learner = VectorLearner()
    plain_forward = learner.module.forward
    learner.module.forward = lambda features: Exploding.apply(plain_forward(features))  # type: ignore[method-assign]
    before = {name: tensor.clone() for name, tensor in learner.module.state_dict().items()}
    with pytest.raises(TrainingError, match="gradient is not finite at step 1"):
        list(train(learner, recipe(), seed=0, fractions=(1.0,)))
    assert same(dict(learner.module.state_dict()), before)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_autocast_trains_fp32_weights(precision: str) -> None:
    trained = final(recipe(precision=precision))
    assert all(tensor.dtype == torch.float32 for tensor in trained.values())
    assert 0 < distance(trained, final(recipe())) < 0.1


def test_fp16_skips_a_step_whose_gradients_overflow_and_goes_on() -> None:
    (snapshot,) = run(recipe(precision="fp16", epochs=6))
    assert snapshot.facts["skipped_steps"] >= 0
    assert snapshot.facts["steps"] == 27
