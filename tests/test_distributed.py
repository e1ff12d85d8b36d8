"""Several processes over gloo agree on what one of them decided."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from ranks import run_ranks
from vector_equipment import VectorScorer, no_heartbeat, vector_equipment, vector_recipe

from rayforget.distributed import all_reduce_sum, from_rank_0, on_rank_0, reason_of_any_rank, state_from_rank_0
from rayforget.errors import RecordError, StorageError
from rayforget.evaluate.finite import Scored
from rayforget.foundations.protocol import State
from rayforget.interpolate.hashing import state_hash
from rayforget.record.jobs import TestJob, TrialJob
from rayforget.record.resume import Owner, save_resume
from rayforget.record.storage.store import Store
from rayforget.record.weights import save_weights
from rayforget.space.seeds import derive_seed
from rayforget.train.trainer import Trainer
from rayforget.trial.alpha_models import Ends
from rayforget.trial.curve import score_curve
from rayforget.trial.pipeline import run_trial, score_tests
from rayforget.values.points import Spot
from rayforget.values.records import CheckpointRecord
from rayforget.values.scores import Score, Split

WORLD_SIZE = 2
CPU = torch.device("cpu")


class Divided(VectorScorer):
    """Ranks that disagree: each sees another curve, and compares the models that it is asked for with the others'."""

    def score(self, thetas: Sequence[State], split: Split) -> list[Scored]:
        """Peaks where this rank likes it; raises if this rank is asked for other models than the others."""
        self.asked.append(len(thetas))
        sums = torch.tensor([float(theta["q_proj.bias"][0]) if theta else 0.0 for theta in thetas])
        together = all_reduce_sum(sums.clone()) / (dist.get_world_size() if dist.is_initialized() else 1)
        torch.testing.assert_close(together, sums, rtol=0, atol=1e-6)
        peak = 0.2 if dist.is_initialized() and dist.get_rank() == 1 else 0.8
        return [self._curve(abs(float(alpha) - peak)) for alpha in sums]

    def _curve(self, gap: float) -> dict[str, Score]:
        items = np.arange(100, dtype=np.float32) < 90 - 60 * gap
        return {task: Score(rule="accuracy", items=items, items_hash=task) for task in self.tasks}


def curve(root: Path, scorer: VectorScorer) -> list[float]:
    """The alphas of a curve whose first bias runs from 0 to 1 as alpha does."""
    equipment = vector_equipment(root, scorer=scorer, curve={"coarse": [0, 0.5, 1], "refine": 5})
    theta_0 = {**equipment.foundation.theta_0, "q_proj.bias": torch.zeros(7)}
    scored = score_curve(
        Ends(theta_0=theta_0, theta_1={"q_proj.bias": torch.ones(7)}, layers={}),
        asked=None,
        frontier=(),
        scorer=scorer,
        equipment=equipment,
        seed=0,
    )
    return [point.alpha for point in scored.points]


def damaged_part(root: Path) -> tuple[str, list[Any]]:
    """A rank's report on a job one part of which only rank 1 cannot read, and what is then recorded."""
    equipment = vector_equipment(root)
    theta_1 = {"q_proj.bias": torch.ones(7)}
    for trial in ("0001-full", "0002-full"):
        if dist.get_rank() == 0:
            save_weights(equipment.sweep.store, trial, 5, theta_1)
            equipment.sweep.add(record(equipment, trial, theta_1))
        dist.barrier()
    if dist.get_rank() == 1:
        equipment.foundation.theta_0_hash = "another model"
        equipment.foundation.initial = lambda recipe: {}  # type: ignore[method-assign]
    jobs = [
        TestJob(trial="0001-full", step=5, spots=(Spot(1.0),)),
        TestJob(trial="0002-full", step=5, spots=(Spot(0.5),)),
    ]
    with pytest.raises(RecordError) as caught:
        score_tests(jobs, equipment, no_heartbeat)
    return str(caught.value), sorted(equipment.sweep.test_scores())


def record(equipment: Any, trial: str, theta_1: dict[str, torch.Tensor]) -> CheckpointRecord:
    return CheckpointRecord(
        trial=trial,
        step=5,
        fraction=1.0,
        status="ok",
        recipe=vector_recipe().model_dump(mode="json"),
        theta_0_hash=equipment.foundation.theta_0_hash,
        theta_1_hash=state_hash({**equipment.foundation.theta_0, **theta_1}),
    )


def decisions(root: Path) -> dict[str, Any]:
    """What a rank hears of what only rank 0 looked at, found broken, or holds."""
    number = dist.get_rank()
    looked: list[int] = []
    found = on_rank_0(lambda: looked.append(number) or root.name, CPU)
    with pytest.raises(StorageError) as refused:
        on_rank_0(lambda: Store.open(root / "a file").write("x", b""), CPU)
    state: Any = {"step": 7 + number, "trained": {"w": torch.full((3, 2), float(number))}, "left": [number]}
    if number == 0:
        moments = {index: {"step": torch.tensor(7.0), "square": torch.arange(5) / 7} for index in range(2)}
        state = {**state, "optimiser": {"state": moments, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}}
    return {
        "looked": looked,
        "found": found,
        "refused": str(refused.value),
        "one": reason_of_any_rank("no such file" if number == 1 else None, CPU),
        "both": reason_of_any_rank("no such file", CPU),
        "other": reason_of_any_rank(f"{number} missing", CPU),
        "none": reason_of_any_rank(None, CPU),
        "state": state_from_rank_0(state, CPU),
        "nothing": state_from_rank_0(None if number == 0 else state, CPU),
    }


def unlike_storages(root: Path) -> dict[str, Any]:
    """A rank's training if every look at the storage but rank 0's shows a state of long ago.

    Rank 1 sees the storage as it was before anything was saved; the training still goes on from rank 0's state.
    """
    equipment = vector_equipment(root / "now")
    job = TrialJob(name="0001-full", recipe=vector_recipe(epochs=3))
    if dist.get_rank() == 1:
        equipment.sweep = vector_equipment(root / "long ago").sweep
    equipment.settle_theta_0()
    records = run_trial(job, equipment, no_heartbeat)
    again = run_trial(job, equipment, no_heartbeat)
    tests = TestJob(trial="theta_0", step=0, spots=(Spot(0.0),))
    return {
        "resumed_from": [record.facts["resumed_from"] for record in records],
        "hashes": [record.theta_1_hash for record in records],
        "again": [record.theta_1_hash for record in again],
        "tested": [score_tests([tests], equipment, no_heartbeat), score_tests([tests], equipment, no_heartbeat)],
    }


def run_rank(root: Path) -> None:
    rank = dist.get_rank()
    shared = from_rank_0({"alpha": 0.1 + 0.2 + rank, "all": [rank] * (rank + 1)}, CPU)
    found = (shared, curve(root / f"curve{rank}", Divided()), damaged_part(root / "parts"))
    torch.save((*found, decisions(root), unlike_storages(root / "storages")), root / f"{rank}.pt")


def half_trained(root: Path) -> int:
    """Leaves a sweep `now` whose training was saved after four steps, and one of `long ago`; returns the total
    steps."""
    equipment, recipe = vector_equipment(root / "now"), vector_recipe(epochs=3)
    vector_equipment(root / "long ago")
    trainer = Trainer(equipment.foundation.learner(recipe), recipe, seed=derive_seed(0, recipe.key, "train"))
    for _ in range(4):
        trainer.take_step()
    owner = Owner(sweep=equipment.sweep.info.name, trial="0001-full", recipe=recipe.key)
    save_resume(equipment.sweep.resume_folder("0001-full"), trainer.state_dict(), owner)
    return trainer.total_steps


def test_one_process_keeps_its_own_value() -> None:
    value = object()
    assert from_rank_0(value, CPU) is value
    assert on_rank_0(lambda: value, CPU) is value
    assert state_from_rank_0(value, CPU) is value
    assert reason_of_any_rank("why", CPU) == "why"
    assert reason_of_any_rank(None, CPU) is None
    with pytest.raises(RecordError, match="damaged"):
        on_rank_0(damaged, CPU)


def damaged() -> None:
    raise RecordError("damaged")


@pytest.mark.slow
def test_what_rank_0_decides_holds_for_all(tmp_path: Path) -> None:
    """By themselves the two ranks of `curve` would refine different alphas, and wait for each other for ever."""
    vector_equipment(tmp_path / "parts")  # the sweep exists before two ranks look for it
    (tmp_path / "a file").touch()
    undisturbed = half_trained(tmp_path / "storages")
    run_ranks(WORLD_SIZE, tmp_path, run_rank)
    alone = curve(tmp_path / "alone", Divided())
    assert len(alone) > 3
    for rank in range(WORLD_SIZE):
        shared, alphas, (message, tested), heard, storages = torch.load(tmp_path / f"{rank}.pt", weights_only=False)
        assert shared == {"alpha": 0.1 + 0.2, "all": [0]}
        assert alphas == alone
        assert message.startswith("2 of 2 checkpoints could not be scored on test")
        assert message.count("rank 1: ") == 2
        assert tested == []

        assert heard["looked"] == ([0] if rank == 0 else [])
        assert heard["found"] == tmp_path.name
        assert "a file" in heard["refused"]
        assert heard["one"] == "rank 1: no such file"
        assert heard["both"] == "no such file"
        assert heard["other"] == "rank 0: 0 missing; rank 1: 1 missing"
        assert heard["none"] is None
        assert heard["nothing"] is None
        state = heard["state"]
        assert (state["step"], state["left"]) == (7, [0])
        assert torch.equal(state["trained"]["w"], torch.zeros(3, 2))
        moments = state["optimiser"]["state"]
        assert list(moments) == [0, 1]
        assert all(torch.equal(each["square"], torch.arange(5) / 7) for each in moments.values())
        assert all(each["step"].shape == () and each["step"] == 7 for each in moments.values())
        assert state["optimiser"]["param_groups"] == [{"lr": 0.1, "params": [0, 1]}]

        assert storages["resumed_from"] == [4]
        assert storages["hashes"] == storages["again"]
        assert storages["tested"] == [1, 0]
    assert undisturbed > 4
