"""One trial, the whole way: recipe -> train -> interpolate -> evaluate -> record. Start reading here.

Runs alike in one process, under torchrun and in a Ray Train worker; the ranks share the training's batches and the
evaluation's items, and rank 0 writes.
"""

import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from rayforget.bench import Bench
from rayforget.distributed import rank
from rayforget.errors import FoundationError, TrainingError
from rayforget.foundations.protocol import Scorer
from rayforget.frontier.points import THETA_0
from rayforget.interpolate.adaptive import next_alphas
from rayforget.interpolate.hashing import state_hash
from rayforget.interpolate.lerp import changed_tensors, lerp
from rayforget.record.jobs import TestJob, TrialJob
from rayforget.record.resume import load_resume, save_resume
from rayforget.record.types import CheckpointRecord, Point, Score, Split, TestRecord
from rayforget.record.weights import load_theta_1, save_weights
from rayforget.space.recipe import Recipe
from rayforget.space.seeds import derive_seed
from rayforget.train.loop import Snapshot, train

Heartbeat = Callable[[str, int, int], None]
"""Called with (stage, done, in all) often enough to tell a working trial from a stuck one."""


def run_trial(job: TrialJob, bench: Bench, heartbeat: Heartbeat) -> list[CheckpointRecord]:
    """Trains a recipe and scores its alpha curve at every chosen fraction; writes each as soon as it is done.

    A checkpoint that the record already holds (from before a worker died) is not scored again. A failure that all
    ranks share comes back as a record with status `failed`; one of a single rank is raised.

    Returns:
        The trial's records, oldest first.
    """
    resume = bench.sweep.resume_folder(job.name)
    done = {step: bench.sweep.record(job.name, step) for step in bench.sweep.trials().get(job.name, [])}
    records = list(done.values())
    if any(record.status == "failed" or record.fraction == 1 for record in records):
        return records  # its workers died between the last record and the answer
    started = time.monotonic()
    try:
        learner = bench.foundation.learner(job.recipe)
        snapshots = train(
            learner,
            job.recipe,
            seed=derive_seed(bench.space.search.seed, job.recipe.key, "train"),
            fractions=bench.space.curve.fractions,
            resume=load_resume(resume),
            save=lambda state: save_resume(resume, state),
            save_every_s=bench.space.resources.checkpoint_every_s,
            progress=lambda step, steps: heartbeat("train", step, steps),
        )
        for snapshot in snapshots:
            trained = time.monotonic()
            if snapshot.step not in done:
                record = _record_snapshot(job, snapshot, records, bench, heartbeat, trained - started)
                records.append(record)
            started += time.monotonic() - trained
    except (TrainingError, FoundationError) as error:  # raised by all ranks alike; others restart the worker group
        records.append(_failed(job, error, bench))
    if rank() == 0:
        bench.sweep.drop_resume(job.name)
    return records


def score_alphas(
    theta_0: Mapping[str, Tensor],
    theta_1: Mapping[str, Tensor],
    alphas: Iterable[float],
    scorer: Scorer,
    split: Split,
    bench: Bench,
    heartbeat: Heartbeat,
) -> dict[float, dict[str, Score]]:
    """Scores theta(alpha) for each of `alphas`, as many models per pass over the data as fit in memory.

    The lerp is done on CPU whatever the device, so that a model rebuilt anywhere is, bit for bit, the one scored.

    Args:
        theta_0: holds at least the tensors of `theta_1`.
        theta_1: the tensors that differ from theta_0; on CPU in fp32.
        alphas: in any order.
    """
    alphas = list(alphas)
    model_bytes = sum(tensor.numel() * tensor.element_size() for tensor in theta_1.values())
    resident = max(1, int(bench.space.resources.resident_gib * 2**30) // max(1, model_bytes))
    scores: dict[float, dict[str, Score]] = {}
    for group in (alphas[first : first + resident] for first in range(0, len(alphas), resident)):
        thetas = [
            {name: tensor.to(bench.device) for name, tensor in lerp(theta_0, theta_1, alpha).items()} for alpha in group
        ]
        scores.update(zip(group, scorer.score(thetas, split), strict=True))
        heartbeat(f"evaluate {split}", len(scores), len(alphas))
    return scores


def score_test(job: TestJob, bench: Bench, heartbeat: Heartbeat) -> TestRecord:
    """Scores chosen points of a kept checkpoint on `test`; rank 0 writes them."""
    record = bench.sweep.record(job.trial, job.step)
    if job.trial == THETA_0:
        scores = {0.0: bench.theta_0_scores("test")}
    else:
        recipe = Recipe.model_validate(record.recipe)
        theta_0 = bench.foundation.initial(recipe)
        theta_1 = changed_tensors(theta_0, load_theta_1(bench.sweep.store, record, theta_0))
        scorer = bench.foundation.scorer(recipe)
        scores = score_alphas(theta_0, theta_1, job.alphas, scorer, "test", bench, heartbeat)
    tests = TestRecord(
        trial=job.trial,
        step=job.step,
        theta_1_hash=record.theta_1_hash or "",
        scores=scores,
        provenance=bench.provenance,
        finished=time.time(),
    )
    if rank() == 0:
        bench.sweep.add_tests(tests)
    return tests


def _record_snapshot(
    job: TrialJob,
    snapshot: Snapshot,
    earlier: Sequence[CheckpointRecord],
    bench: Bench,
    heartbeat: Heartbeat,
    train_seconds: float,
) -> CheckpointRecord:
    theta_0 = bench.foundation.initial(job.recipe)
    theta_1 = changed_tensors(theta_0, snapshot.theta_1)
    started = time.monotonic()
    points = _curve(job, snapshot, theta_0, theta_1, earlier, bench, heartbeat)
    evaluated = time.monotonic()
    record = CheckpointRecord(
        trial=job.name,
        step=snapshot.step,
        fraction=snapshot.fraction,
        status="ok",
        recipe=job.recipe.model_dump(mode="json"),
        asked=dict(job.asked),
        points=tuple(points),
        theta_0_hash=bench.foundation.theta_0_hash,
        theta_1_hash=state_hash(snapshot.theta_1),
        changed=tuple(sorted(theta_1)),
        facts=dict(snapshot.facts),
        provenance=bench.provenance,
        finished=time.time(),
    )
    if rank() == 0:
        save_weights(bench.sweep.store, job.name, snapshot.step, theta_1)
    saved = time.monotonic()
    seconds = {"train": train_seconds, "evaluate": evaluated - started, "save": saved - evaluated}
    record = replace(record, seconds={stage: round(value, 3) for stage, value in seconds.items()})
    if rank() == 0:
        bench.sweep.add(record)
    return record


def _curve(
    job: TrialJob,
    snapshot: Snapshot,
    theta_0: Mapping[str, Tensor],
    theta_1: Mapping[str, Tensor],
    earlier: Sequence[CheckpointRecord],
    bench: Bench,
    heartbeat: Heartbeat,
) -> list[Point]:
    """The common coarse grid and the asked alpha, then further alphas where they promise most."""
    scorer = bench.foundation.scorer(job.recipe)
    coarse = set(bench.space.curve.coarse)
    is_asked = snapshot.fraction >= job.fraction and all(record.fraction < job.fraction for record in earlier)
    asked = {job.alpha} if is_asked else set()
    scores = {0.0: bench.theta_0_scores("val")}
    wanted = sorted((coarse | asked) - {0.0})
    scores |= score_alphas(theta_0, theta_1, wanted, scorer, "val", bench, heartbeat)
    frontier = np.array(
        [*job.frontier, *(bench.objectives(point.scores) for record in earlier for point in record.points)]
    ).reshape(-1, 2)
    budget = bench.space.curve.refine
    while budget > 0:
        curve = [(alpha, *bench.objectives(values)) for alpha, values in scores.items()]
        alphas = next_alphas(curve, frontier, budget=min(2, budget))
        if not alphas:
            break
        scores |= score_alphas(theta_0, theta_1, alphas, scorer, "val", bench, heartbeat)
        budget -= len(alphas)
    return [Point(alpha=alpha, coarse=alpha in coarse, scores=scores[alpha]) for alpha in sorted(scores)]


def _failed(job: TrialJob, error: Exception, bench: Bench) -> CheckpointRecord:
    record = failed_record(
        job, f"{error}\n\n{''.join(traceback.format_exception(error))}", bench.foundation.theta_0_hash
    )
    if rank() == 0:
        bench.sweep.add(record)
    return record


def failed_record(job: TrialJob, reason: str, theta_0_hash: str) -> CheckpointRecord:
    """The record of a trial that did not come to its end; its step is 0, which no checkpoint has."""
    return CheckpointRecord(
        trial=job.name,
        step=0,
        fraction=0.0,
        status="failed",
        reason=reason,
        recipe=job.recipe.model_dump(mode="json"),
        asked=dict(job.asked),
        theta_0_hash=theta_0_hash,
        finished=time.time(),
    )
