"""Several processes over gloo agree on what one of them decided."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from vector_bench import VectorScorer, no_heartbeat, vector_bench

from rayforget.curve import score_curve
from rayforget.distributed import all_reduce_sum, from_rank_0
from rayforget.errors import RecordError
from rayforget.evaluate.finite import Scored
from rayforget.foundations.protocol import State
from rayforget.pipeline import score_tests
from rayforget.record.jobs import TestJob
from rayforget.record.types import CheckpointRecord, Score, Split
from rayforget.record.weights import save_weights

WORLD_SIZE = 2
CPU = torch.device("cpu")


class Divided(VectorScorer):
    """Ranks that disagree: each rank sees another curve, and says to the others which models it was asked for."""

    def score(self, thetas: Sequence[State], split: Split) -> list[Scored]:
        """Peaks where this rank likes it; a rank that is asked for other models than its fellows raises."""
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
    bench = vector_bench(root, scorer=scorer, curve={"coarse": [0, 0.5, 1], "refine": 5})
    theta_0 = {**bench.foundation.theta_0, "q_proj.bias": torch.zeros(7)}
    scored = score_curve(
        theta_0,
        {"q_proj.bias": torch.ones(7)},
        asked=None,
        frontier=(),
        scorer=scorer,
        bench=bench,
    )
    return [point.alpha for point in scored.points]


def damaged_part(root: Path) -> tuple[str, list[Any]]:
    """What a rank says of a job of which one part cannot be read by rank 1 alone, and what is recorded then."""
    bench = vector_bench(root)
    theta_1 = {"q_proj.bias": torch.ones(7)}
    for trial in ("0001-full", "0002-full"):
        if dist.get_rank() == 0:
            save_weights(bench.sweep.store, trial, 5, theta_1)
            bench.sweep.add(record(bench, trial, theta_1))
        dist.barrier()
    if dist.get_rank() == 1:
        bench.foundation.theta_0_hash = "another model"
        bench.foundation.initial = lambda recipe: {}  # type: ignore[method-assign]
    jobs = [TestJob(trial="0001-full", step=5, alphas=(1.0,)), TestJob(trial="0002-full", step=5, alphas=(0.5,))]
    with pytest.raises(RecordError) as caught:
        score_tests(jobs, bench, no_heartbeat)
    return str(caught.value), sorted(bench.sweep.test_scores())


def record(bench: Any, trial: str, theta_1: dict[str, torch.Tensor]) -> CheckpointRecord:
    from vector_bench import vector_recipe

    from rayforget.interpolate.hashing import state_hash

    return CheckpointRecord(
        trial=trial,
        step=5,
        fraction=1.0,
        status="ok",
        recipe=vector_recipe().model_dump(mode="json"),
        theta_0_hash=bench.foundation.theta_0_hash,
        theta_1_hash=state_hash({**bench.foundation.theta_0, **theta_1}),
    )


def run_rank(rank: int, root: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{root}/meet", rank=rank, world_size=WORLD_SIZE, timeout=timedelta(seconds=60)
    )
    shared = from_rank_0({"alpha": 0.1 + 0.2 + rank, "all": [rank] * (rank + 1)}, CPU)
    torch.save((shared, curve(root / f"curve{rank}", Divided()), damaged_part(root / "parts")), root / f"{rank}.pt")
    dist.destroy_process_group()


def test_one_process_keeps_its_own_value() -> None:
    value = object()
    assert from_rank_0(value, CPU) is value


@pytest.mark.slow
def test_what_rank_0_decides_holds_for_all(tmp_path: Path) -> None:
    """Left to themselves the two ranks of `curve` would refine other alphas, and wait for each other for ever."""
    vector_bench(tmp_path / "parts")  # the sweep is there before two ranks look for it
    torch.multiprocessing.spawn(run_rank, args=(tmp_path,), nprocs=WORLD_SIZE)  # type: ignore[no-untyped-call]
    alone = curve(tmp_path / "alone", Divided())
    assert len(alone) > 3
    for rank in range(WORLD_SIZE):
        shared, alphas, (message, tested) = torch.load(tmp_path / f"{rank}.pt", weights_only=False)
        assert shared == {"alpha": 0.1 + 0.2, "all": [0]}
        assert alphas == alone
        assert message.startswith("2 of 2 checkpoints could not be scored on test")
        assert ("another worker cannot read it" in message) == (rank == 0)
        assert tested == []
