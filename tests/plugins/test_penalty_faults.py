"""What another package's penalty does to the weights, the loss and the record is laid at its door, and no other's."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from plugins.faulty import PENALTY, Write, steps
from plugins.outsiders import write_package
from train.learners import VectorLearner
from vector_equipment import VectorScorer, no_heartbeat, vector_equipment, vector_recipe

from rayforget.errors import TrainingError
from rayforget.evaluate.finite import Scored
from rayforget.extensions.use import blame
from rayforget.foundations.protocol import State
from rayforget.record.jobs import TrialJob
from rayforget.space.registries import REGISTRIES
from rayforget.train.loop import train
from rayforget.trial.pipeline import run_trial
from rayforget.values.scores import Split

NAN_AT = "    def after_step(self, rate):\n        self.steps = getattr(self, 'steps', 0) + 1\n" + (
    "        if self.steps == WHEN:\n            next(iter(self.training.weights.values())).fill_(float('nan'))\n"
)


def test_weights_that_a_penalty_spoils_in_the_first_step_are_laid_at_its_door(write: Write) -> None:
    name = write("penalties", "ThePenalty", PENALTY + NAN_AT.replace("WHEN", "1"))
    said = rf"after_step of penalty '{name}' of package box_of_{name} wrote weights that are not finite .* step 1 of 9"
    with pytest.raises(TrainingError, match=said):
        steps(name)


def test_a_loss_of_weights_that_a_penalty_spoilt_later_names_it(write: Write) -> None:
    name = write("penalties", "ThePenalty", PENALTY + NAN_AT.replace("WHEN", "3"))
    with pytest.raises(TrainingError, match=rf"at step 4 of 9; the weights .* mend penalty '{name}' of package"):
        steps(name)


def test_a_theta_1_that_is_not_finite_fails_whatever_the_scorer_makes_of_it(write: Write, tmp_path: Path) -> None:
    class Blind(VectorScorer):
        """Takes NaN for one more wrong answer."""

        def score(self, thetas: Sequence[State], split: Split) -> list[Scored]:
            return super().score([{k: tensor.nan_to_num() for k, tensor in theta.items()} for theta in thetas], split)

    name = write("penalties", "ThePenalty", PENALTY + NAN_AT.replace("WHEN", "9"))
    equipment = vector_equipment(
        tmp_path / "runs", scorer=Blind(), methods={"full": {"penalties": [{"kind": name, "strength": 1}]}}
    )
    job = TrialJob(name="0001-full", recipe=vector_recipe(penalties=[{"kind": name, "strength": 1.0}]))
    (record,) = run_trial(job, equipment, no_heartbeat)
    assert record.status == "failed"
    first = str(record.reason).splitlines()[0]
    assert first.startswith("theta_1 has weights that are not finite (NaN or infinite) after step 9: q_proj.")
    assert first.endswith(f"lower learning_rate, or mend what penalty '{name}' of package box_of_{name} writes")


def test_of_two_penalties_in_one_module_the_one_that_fails_is_named(write: Write, tmp_path: Path) -> None:
    one, other = "twin_a", "twin_b"
    code = f"{PENALTY}    def after_step(self, rate):\n        1 / 0\n"
    both = code.replace("NAME", one) + "\nclass Second(ThePenalty):\n" + f'    kind: Literal["{other}"]\n'
    write_package(tmp_path, f"box_of_{one}", {one: "ThePenalty", other: "Second"}, both, "rayforget.penalties")
    for name in (one, other):
        REGISTRIES["rayforget.penalties"].find(name)
    for name in (one, other):
        with pytest.raises(ZeroDivisionError) as raised:
            steps(name)
        assert str(blame(raised.value)).startswith(f"penalty '{name}' of package box_of_{one} failed in after_step: ")


def test_of_a_penalty_and_its_subclass_the_one_that_cannot_be_prepared_is_named(write: Write, tmp_path: Path) -> None:
    one, other = "twin_c", "twin_d"
    code = PENALTY.replace("return TheHooks(training)", "return {}[1]").replace("NAME", one)
    code += f'\nclass Second(ThePenalty):\n    kind: Literal["{other}"]\n'
    write_package(tmp_path, f"box_of_{one}", {one: "ThePenalty", other: "Second"}, code, "rayforget.penalties")
    for name in (one, other):
        REGISTRIES["rayforget.penalties"].find(name)
    for name in (one, other):
        with pytest.raises(KeyError) as raised:
            steps(name)
        assert str(blame(raised.value)).startswith(f"penalty '{name}' of package box_of_{one} failed in prepare: ")


def test_a_penalty_without_any_effect_is_noted(write: Write) -> None:
    from rayforget.train.trainer import Trainer

    name = write("penalties", "ThePenalty", PENALTY)
    recipe = vector_recipe(penalties=[{"kind": kind, "strength": 1.0} for kind in (name, "l2", "kd")])
    (said,) = Trainer(VectorLearner(), recipe, seed=0).idle_penalties()
    assert said.startswith(f"penalty '{name}' of package box_of_{name} does nothing: its hooks TheHooks define none of")


@pytest.mark.parametrize(("after_step", "told"), [("pass", True), ("[self.after_steps(r) for r in (rate,)]", False)])
def test_a_method_beside_the_hook_it_looks_like_is_noted_unless_it_is_a_part_of_it(
    write: Write, after_step: str, told: bool
) -> None:
    from rayforget.train.trainer import Trainer

    methods = f"    def after_step(self, rate): {after_step}\n    def after_steps(self, rate): pass\n"
    name = write("penalties", "ThePenalty", PENALTY + methods)
    recipe = vector_recipe(penalties=[{"kind": name, "strength": 1.0}])
    said = Trainer(VectorLearner(), recipe, seed=0).idle_penalties()
    start = (
        f"penalty '{name}' of package box_of_{name} has hooks TheHooks with after_steps beside after_step: rayforget"
    )
    assert [line.startswith(start) for line in said] == [True] * told


COUNTING = """    def after_step(self, rate):
        self.count = getattr(self, "count", 0) + 1
        for name, weight in self.training.weights.items():
            weight.lerp_(self.training.start[name], 0.1 * self.count / (self.count + 1))

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]
"""


@pytest.mark.parametrize("restored", [True, False])
def test_a_penaltys_own_state_goes_on_with_a_resumed_training(write: Write, restored: bool) -> None:
    code = COUNTING if restored else COUNTING.replace('self.count = state["count"]', "pass")
    recipe = vector_recipe(penalties=[{"kind": write("penalties", "ThePenalty", PENALTY + code), "strength": 1.0}])
    saved: list[Any] = []

    def trained(**how: Any) -> State:
        (found,) = train(VectorLearner(), recipe, seed=3, fractions=(1.0,), **how)
        return found.theta_1

    whole = trained(save=lambda state: saved.append(copy.deepcopy(state)), save_every_s=0)
    resumed = trained(resume=saved[len(saved) // 2])
    assert all(torch.equal(whole[name], resumed[name]) for name in whole) == restored
