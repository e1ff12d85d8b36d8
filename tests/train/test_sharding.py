"""Weights in shards over two ranks train like whole weights in one process, and any number of ranks can go on."""

import copy
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from ranks import run_ranks
from test_lm_training import LORA, learner_of, recipe_of
from tiny_lm import save_lm
from torch import Tensor

from rayforget.distributed import all_reduce_sum
from rayforget.foundations.causal_lm.config import CausalLmFoundation
from rayforget.foundations.causal_lm.model import CausalLm, load_causal_lm
from rayforget.foundations.protocol import Learner
from rayforget.interpolate.lerp import lerp
from rayforget.space.recipe import Recipe
from rayforget.train import trainer as of_trainer
from rayforget.train.distillation import teacher_output
from rayforget.train.loop import Snapshot, train
from rayforget.train.penalties.ewc import EwcPenalty, FisherData
from rayforget.train.penalties.kd import Distillation
from rayforget.train.penalties.l1 import L1Penalty
from rayforget.train.penalties.l1_coupled import CoupledL1Penalty
from rayforget.train.penalties.l2 import L2Penalty
from rayforget.train.penalties.l2_coupled import CoupledL2Penalty
from rayforget.train.sharded_teacher import sharded_teacher_output
from rayforget.train.sharding import is_shard, own_share, shard, sharded_like
from rayforget.train.trainer import Trainer

pytestmark = pytest.mark.slow
FRACTIONS = (1 / 3, 1.0)
RECIPES = {
    "full": recipe_of(),
    "accumulated": recipe_of(accumulation=2),
    "checkpointed": recipe_of(gradient_checkpointing=True),
    "proximal": recipe_of(penalties=(L1Penalty(kind="l1", strength=0.1), L2Penalty(kind="l2", strength=20.0))),
    "coupled": recipe_of(
        penalties=(CoupledL1Penalty(kind="l1_coupled", strength=1e-3), CoupledL2Penalty(kind="l2_coupled", strength=1))
    ),
    "ewc": recipe_of(
        penalties=(EwcPenalty(kind="ewc", strength=20.0, data=FisherData(task="medicine", split="train")),)
    ),
    "kd": recipe_of(penalties=(Distillation(kind="kd", strength=1.0),)),
    "kd_accumulated": recipe_of(accumulation=2, penalties=(Distillation(kind="kd", strength=1.0, temperature=2.0),)),
    "kd_l2": recipe_of(
        penalties=(Distillation(kind="kd", strength=1.0), L2Penalty(kind="l2", strength=20.0)),
        gradient_checkpointing=True,
    ),
    "kd_bf16": recipe_of(precision="bf16", penalties=(Distillation(kind="kd", strength=1.0),)),
    "lora": recipe_of(adapter=LORA),
    "lora_kd": recipe_of(adapter=LORA, penalties=(Distillation(kind="kd", strength=1.0),)),
    "dora_saved": recipe_of(
        adapter=LORA.model_copy(
            update={
                "use_dora": True,
                "use_rslora": True,
                "loraplus_lr_ratio": 4.0,
                "modules_to_save": ("embed_tokens",),
            }
        ),
        penalties=(CoupledL2Penalty(kind="l2_coupled", strength=1), Distillation(kind="kd", strength=1.0)),
    ),
    "lora_coupled": recipe_of(
        adapter=LORA,
        penalties=(CoupledL1Penalty(kind="l1_coupled", strength=1e-3), CoupledL2Penalty(kind="l2_coupled", strength=1)),
    ),
}


class SameTexts:
    """For EWC: the texts of the training themselves, at theta_0; nothing is kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def learner(self, task: str, split: str) -> Learner:
        return learner_of(load(self._folder), packing=False)

    def kept(self, what: Mapping[str, str], make: Callable[[], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        return make()


@cache
def load(folder: Path) -> CausalLm:
    """Read once in a process; `learner_of` trains a copy."""
    return load_causal_lm(CausalLmFoundation(kind="causal_lm", model=str(folder)), torch.device("cpu"))


def run(
    folder: Path,
    recipe: Recipe,
    *,
    sharded: bool,
    resume: Any = None,
    save: Callable[[Any], None] | None = None,
) -> list[Snapshot]:
    torch.set_num_threads(1)
    learner = learner_of(load(folder))
    return list(
        train(
            learner,
            recipe,
            seed=1,
            fractions=FRACTIONS,
            sharded=sharded,
            resume=resume,
            save=save,
            save_every_s=1e9,
            sources=SameTexts(folder),
        )
    )


def train_all(folder: Path) -> None:
    found = {}
    for name, recipe in RECIPES.items():
        states: list[Any] = []
        found[name] = run(
            folder / "model", recipe, sharded=True, save=lambda state, into=states: into.append(copy.deepcopy(state))
        )
        if name == "full" and dist.get_rank() == 0:
            torch.save(states[0], folder / "state.pt")
    if dist.get_rank() == 0:
        torch.save(found, folder / "sharded.pt")


def teach(folder: Path) -> None:
    for precision in ("fp32", "bf16"):
        recipe = recipe_of(precision=precision, penalties=(Distillation(kind="kd", strength=1.0),))
        learner = learner_of(load(folder / "model"))
        start = {name: weight.detach().clone() for name, weight in learner.module.named_parameters()}
        inputs = learner.batch(torch.arange(4), torch.Generator()).inputs
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        with torch.autocast("cpu", dtype, enabled=precision == "bf16"):
            features = teacher_output(learner.module, start, inputs)
            expected = features, teacher_output(learner.module, start, {"features": features})
        trainer = Trainer(learner, recipe, seed=1, sharded=True)
        trainer.take_step()
        kept = trainer._hooks["kd"]._training.start
        trained = dict(learner.module.named_parameters())
        before, rng = {name: own_share(weight).clone() for name, weight in trained.items()}, torch.get_rng_state()
        with torch.autocast("cpu", dtype, enabled=precision == "bf16"):
            found, logits_of = sharded_teacher_output(
                learner.module, learner.output, trained, trainer._hooks["kd"]._training.start, inputs
            )
            torch.testing.assert_close((found, logits_of(found)), expected, atol=1e-5, rtol=1e-5)
            assert not torch.allclose(learner.module(**inputs), found)
        assert all(torch.equal(own_share(weight), before[name]) for name, weight in trained.items())
        assert torch.equal(rng, torch.get_rng_state())
        assert all(part.training for part in learner.module.modules())
        state = trainer.state_dict()
        assert bool(state) == (dist.get_rank() == 0)
        for moments in state["optimiser"]["state"].values() if state else ():
            assert {tensor.shape for tensor in moments.values()} <= {torch.Size(()), *(w.shape for w in start.values())}
            assert not any(is_shard(tensor) for tensor in moments.values())
        held = sum(share.numel() for share in kept.values())
        assert held <= 0.6 * sum(weight.numel() for weight in start.values())


def test_a_sharded_teacher_answers_as_theta_0_and_leaves_the_weights_as_they_were(tmp_path: Path) -> None:
    save_lm(tmp_path / "model", "opt")
    run_ranks(2, tmp_path, teach)


def work_on_shares(folder: Path) -> None:
    """The lerp and EWC's diagonal quadratic form of each rank's own shares, compared to those of whole weights."""
    module = learner_of(load(folder / "model")).module
    generator = torch.Generator().manual_seed(0)
    start = {name: weight.detach().clone() for name, weight in module.named_parameters()}
    moved = {name: weight + torch.randn(weight.shape, generator=generator) for name, weight in start.items()}
    importance = {name: torch.rand(weight.shape, generator=generator) for name, weight in start.items()}
    expected = sum((importance[name] * (moved[name] - start[name]).square()).sum() for name in start)
    between = lerp(start, moved, 0.3)
    shard(module, torch.device("cpu"))
    sharded = dict(module.named_parameters())
    own = [{name: sharded_like(each[name], sharded[name]) for name in start} for each in (start, moved, importance)]
    for name, share in lerp(own[0], own[1], 0.3).items():
        assert torch.equal(share, sharded_like(between[name], sharded[name]))
    assert sum(share.numel() for share in own[0].values()) <= 0.6 * sum(weight.numel() for weight in start.values())
    of_rank = sum((own[2][name] * (own[1][name] - own[0][name]).square()).sum() for name in start)
    torch.testing.assert_close(all_reduce_sum(torch.as_tensor(of_rank)), torch.as_tensor(expected))


def test_lerp_and_quadratic_forms_are_the_same_on_shares(tmp_path: Path) -> None:
    save_lm(tmp_path / "model", "opt")
    run_ranks(2, tmp_path, work_on_shares)


def distance(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> float:
    """Between two models, without the biases of keys: their gradient is 0 but for rounding, whose sign Adam follows."""
    return sum(float((first[n] - second[n]).square().sum()) for n in first if not n.endswith("k_proj.bias")) ** 0.5


def go_on(folder: Path) -> None:
    state = torch.load(folder / "state.pt", weights_only=False)
    snapshots = run(folder / "model", RECIPES["full"], sharded=True, resume=state)
    if dist.get_rank() == 0:
        torch.save(snapshots, folder / "gone_on.pt")


def test_two_ranks_of_shards_train_as_one_process_and_any_number_goes_on(tmp_path: Path) -> None:
    save_lm(tmp_path / "model", "opt")
    run_ranks(2, tmp_path, train_all)
    sharded: dict[str, list[Snapshot]] = torch.load(tmp_path / "sharded.pt", weights_only=False)
    for name, recipe in RECIPES.items():
        alone = run(tmp_path / "model", recipe, sharded=False)
        for first, second in zip(alone, sharded[name], strict=True):
            tolerance = 1e-2 if recipe.precision == "bf16" else 1e-5
            assert first.facts["loss"] == pytest.approx(second.facts["loss"], rel=tolerance), name
            assert {n: t.shape for n, t in first.theta_1.items()} == {n: t.shape for n, t in second.theta_1.items()}
        if name == "ewc":
            theta_0 = load(tmp_path / "model").theta_0
            apart = distance(alone[-1].theta_1, sharded[name][-1].theta_1)
            assert alone[-1].facts["fisher_mean"] == pytest.approx(sharded[name][-1].facts["fisher_mean"], rel=1e-5)
            assert apart < 1e-2 * distance(alone[-1].theta_1, theta_0)
            assert apart < 1e-1 * distance(alone[-1].theta_1, sharded["full"][-1].theta_1)

    state = torch.load(tmp_path / "state.pt", weights_only=False)
    (alone_on,) = run(tmp_path / "model", RECIPES["full"], sharded=False, resume=state)[-1:]
    assert alone_on.facts["resumed_from"] == 2
    assert alone_on.facts["loss"] == pytest.approx(sharded["full"][-1].facts["loss"], rel=1e-5)
    run_ranks(3, tmp_path, go_on)
    (three_on,) = torch.load(tmp_path / "gone_on.pt", weights_only=False)[-1:]
    assert three_on.facts["loss"] == pytest.approx(sharded["full"][-1].facts["loss"], rel=1e-5)


class Traffic:
    """Bytes gathered, and the number of times that gradients were cut into shares."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gathered, self.reduced = 0, 0
        gather, reduce = dist.all_gather_single, dist.reduce_scatter_single

        def gathering(output: Tensor, *given: Any, **more: Any) -> Any:
            self.gathered += output.nbytes
            return gather(output, *given, **more)

        def reducing(*given: Any, **more: Any) -> Any:
            self.reduced += 1
            return reduce(*given, **more)

        monkeypatch.setattr(dist, "all_gather_single", gathering)
        monkeypatch.setattr(dist, "reduce_scatter_single", reducing)


def travel(folder: Path) -> None:
    """A step in bf16 whose matrices are gathered in it, and one whose are gathered in fp32."""
    torch.set_num_threads(1)
    model = load(folder / "model")
    for adapter in ({}, {"adapter": LORA}):
        found = []
        for half in (True, False):
            with pytest.MonkeyPatch.context() as patch:
                if not half:
                    patch.setattr(of_trainer, "shard", lambda module, device, **_: shard(module, device))
                traffic = Traffic(patch)
                trainer = Trainer(learner_of(model), recipe_of(precision="bf16", **adapter), seed=1, sharded=True)
                for _ in range(2):
                    trainer.take_step()
                found.append((trainer._loss, trainer.theta_1(), traffic.gathered))
        (loss, theta_1, few), (other_loss, other_theta_1, many) = found
        assert loss == other_loss
        assert all(torch.equal(tensor, other_theta_1[name]) for name, tensor in theta_1.items())
        assert few < 0.8 * many, (few, many)
    counts = []
    for accumulation in (1, 2):
        with pytest.MonkeyPatch.context() as patch:
            traffic = Traffic(patch)
            Trainer(learner_of(model), recipe_of(accumulation=accumulation), seed=1, sharded=True).take_step()
            counts.append(traffic.reduced)
    assert counts[0] == counts[1] == 3, counts  # two blocks and the rest


def test_shards_travel_in_half_precision_with_the_same_bits_and_gradients_once_a_step(tmp_path: Path) -> None:
    save_lm(tmp_path / "model", "opt")
    run_ranks(2, tmp_path, travel)
