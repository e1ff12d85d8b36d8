"""One trial, the whole way: recipe -> train -> interpolate -> evaluate -> record. Start reading here.

Runs alike in one process, under torchrun and in a Ray Train worker; the ranks share the training's batches and the
evaluation's items, and rank 0 writes.
"""

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rayforget.determinism import deterministic
from rayforget.distributed import on_rank_0, reason_of_any_rank, state_from_rank_0
from rayforget.errors import FoundationError, RayforgetError, RecordError, StorageError, TrainingError
from rayforget.evaluate.finite import NotFinite, Scored, require_finite
from rayforget.frontier.points import THETA_0, PointKey
from rayforget.heartbeat import Heartbeat, beat, heard_by
from rayforget.record.failure import failed_record
from rayforget.record.jobs import TestJob, TrialJob
from rayforget.record.resume import Owner, load_resume, newest_resume, save_resume
from rayforget.record.standing import is_finished
from rayforget.record.storage.store import Store
from rayforget.record.weights import load_theta_1
from rayforget.space.given import AnyRecipe, recipe_of
from rayforget.space.seeds import derive_seed
from rayforget.train.loop import Snapshot, train
from rayforget.train.penalties.sources import FoundationSources
from rayforget.trial.alpha_models import Ends
from rayforget.trial.checkpoint import ends_of, objectives_of, record_curve
from rayforget.trial.curve import score_spots
from rayforget.trial.equipment import Equipment
from rayforget.values.points import Spot
from rayforget.values.records import CheckpointRecord, TestRecord


def run_trial(job: TrialJob, equipment: Equipment, heartbeat: Heartbeat) -> list[CheckpointRecord]:
    """Trains a recipe and scores its alpha curves at every chosen fraction; records each as soon as it is done.

    A checkpoint already in the record (from before a worker died) is not scored again. A failure that all ranks share
    is returned as a record with status `failed`; a failure of a single rank is raised.

    Args:
        job: the recipe and the trial's name.
        equipment: the worker's.
        heartbeat: called as the work goes on.

    Returns:
        The trial's records, oldest first.

    Raises:
        TaskError, RecordError, OSError: the data or the storage failed, which says nothing about the recipe; nothing
            is recorded, so that the trial can be taken up again.
    """
    with heard_by(heartbeat):
        return _run_trial(job, equipment)


def _run_trial(job: TrialJob, equipment: Equipment) -> list[CheckpointRecord]:
    resume = equipment.sweep.resume_folder(job.name)
    owner = _owner(job, equipment)
    records = on_rank_0(lambda: _recorded(job, equipment), equipment.device)
    if is_finished(records):
        return records  # the workers died between the last record and the answer
    done = {record.step for record in records}
    started = time.monotonic()
    try:
        with deterministic(equipment.space.resources.deterministic):
            learner = equipment.foundation.learner(job.recipe)
            snapshots = train(
                learner,
                job.recipe,
                seed=derive_seed(equipment.space.search.seed, job.recipe.key, "train"),
                fractions=equipment.space.curve.fractions,
                resume=_state_to_resume(resume, owner, equipment),
                save=lambda state: save_resume(resume, state, owner),
                save_every_s=equipment.space.resources.checkpoint_every_s,
                progress=lambda step, steps: beat("train", step, steps),
                sharded=equipment.space.resources.sharding == "fsdp",
                sources=FoundationSources(equipment.foundation, job.recipe, equipment.device, equipment.tensors_cache),
            )
            for snapshot in snapshots:
                trained = time.monotonic()
                if snapshot.step not in done:
                    records.append(_record_snapshot(job, snapshot, records, equipment, trained - started))
                started += time.monotonic() - trained
    except (TrainingError, FoundationError) as error:  # by all ranks; other errors restart the group
        records.append(_failed(job, error, equipment))
    if not is_finished(records):
        found = ", ".join(f"step {record.step} ({record.fraction:.0%})" for record in records) or "nothing"
        raise RecordError(
            f"training {job.name} ended, and its end cannot be recorded: recorded are {found}, which a training of "
            "another length made; restore the training data, or delete the records of this trial in points/ and resume"
        )
    on_rank_0(lambda: equipment.sweep.drop_resume(job.name), equipment.device)
    return records


def _owner(job: TrialJob, equipment: Equipment) -> Owner:
    """Whose states a training goes on from; a sweep whose folder was renamed is still the same."""
    return Owner(sweep=equipment.sweep.first_name, trial=job.name, recipe=job.recipe.key)


def _recorded(job: TrialJob, equipment: Equipment) -> list[CheckpointRecord]:
    """The trial's records, oldest first; rank 0 reads them and so decides for all ranks what is done."""
    return [equipment.sweep.record(job.name, step) for step in equipment.sweep.trials().get(job.name, [])]


def _state_to_resume(folder: Store, owner: Owner, equipment: Equipment) -> dict[str, Any] | None:
    """The state that rank 0 found, sent to every rank: all go on from the same step, or all begin.

    Reading it on each rank could find different states, and would ask the storage once per rank.
    """
    found: dict[str, Any] | None = None

    def load() -> None:
        nonlocal found
        found = load_resume(folder, newest_resume(folder, owner))

    on_rank_0(load, equipment.device)
    return state_from_rank_0(found, equipment.device)


def score_tests(jobs: Sequence[TestJob], equipment: Equipment, heartbeat: Heartbeat) -> int:
    """Scores on `test` what is asked for, recording each part as soon as it is done and skipping parts that fail.

    What is already recorded (from before a worker died) is not scored again.

    Returns:
        The number of points scored.

    Raises:
        RecordError: on every rank, once all else is recorded; names the parts that could not be scored, and why.
    """
    tested = on_rank_0(lambda: frozenset(equipment.sweep.test_scores()), equipment.device)
    count = 0
    failed: list[str] = []
    for job in jobs:
        spots = tuple(spot for spot in job.spots if PointKey(job.trial, job.step, *spot) not in tested)
        if not spots:
            continue
        try:
            count += len(score_test(replace(job, spots=spots), equipment, heartbeat).scores)
        except StorageError:  # the scores cannot be written, so neither could the next ones
            raise
        except (RecordError, TrainingError, FoundationError) as error:  # by all ranks; other errors end the job
            failed.append(f"{job.trial} step {job.step}: {error}")
    if failed:
        raise RecordError(
            f"{len(failed)} of {len(jobs)} checkpoints could not be scored on test; "
            "all others of this job are recorded:",
            *failed,
        )
    return count


def score_test(job: TestJob, equipment: Equipment, heartbeat: Heartbeat) -> TestRecord:
    """Scores the chosen points of a kept checkpoint on `test`; rank 0 records them.

    Raises:
        RecordError: on every rank, if the checkpoint cannot be read or is not the one that was recorded.
        TrainingError: on every rank, if a point's outputs are not finite (the others are recorded), or if determinism
            was asked for and an operation has no deterministic form.
    """
    with heard_by(heartbeat), deterministic(equipment.space.resources.deterministic):
        return _score_test(job, equipment)


def _score_test(job: TestJob, equipment: Equipment) -> TestRecord:
    scored: dict[Spot, Scored]
    if job.trial == THETA_0:
        scorer = equipment.scorer(None, "test")
        theta_1_hash, scored = equipment.foundation.theta_0_hash, {Spot(0.0): equipment.theta_0_scores("test")}
    else:
        checkpoint = _load_checkpoint(job, equipment)
        scorer = equipment.scorer(checkpoint.recipe, "test")
        theta_1_hash = checkpoint.theta_1_hash
        scored = score_spots(equipment.models(checkpoint.ends), job.spots, scorer, "test", equipment)
    tests = TestRecord(
        trial=job.trial,
        step=job.step,
        theta_1_hash=theta_1_hash,
        scores={spot: scores for spot, scores in scored.items() if not isinstance(scores, NotFinite)},
        facts=scorer.facts("test"),
        provenance=equipment.scored_in("test"),
        finished=time.time(),
    )
    if tests.scores:
        on_rank_0(lambda: equipment.sweep.add_tests(tests), equipment.device)
    for spot, scores in scored.items():
        require_finite(scores, "test", model=str(spot), advice="it extrapolates too far")
    return tests


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checkpoint:
    """The contents of a record and its weights file, verified to belong together."""

    recipe: AnyRecipe
    ends: Ends
    theta_1_hash: str


def _load_checkpoint(job: TestJob, equipment: Equipment) -> _Checkpoint:
    """Raises on every rank if one rank cannot read the checkpoint, so that none is left waiting."""
    checkpoint: _Checkpoint | None = None
    failure: Exception | None = None
    try:
        record = on_rank_0(lambda: equipment.sweep.record(job.trial, job.step), equipment.device)
        recipe = recipe_of(record.recipe)
        theta_1 = load_theta_1(equipment.sweep.store, record, equipment.foundation.initial(recipe))
        ends = ends_of(recipe, theta_1, equipment)
        checkpoint = _Checkpoint(recipe=recipe, ends=ends, theta_1_hash=record.theta_1_hash or "")
    except (RayforgetError, OSError) as error:
        failure = error
    reason = reason_of_any_rank(None if failure is None else str(failure), equipment.device)
    if reason is not None or checkpoint is None:
        raise RecordError(reason) from failure
    return checkpoint


def _record_snapshot(
    job: TrialJob,
    snapshot: Snapshot,
    earlier: Sequence[CheckpointRecord],
    equipment: Equipment,
    train_seconds: float,
) -> CheckpointRecord:
    is_asked = snapshot.fraction >= job.fraction and all(record.fraction < job.fraction for record in earlier)
    return record_curve(
        job.name,
        job.recipe,
        snapshot,
        equipment,
        asked=job.asked,
        alpha=job.alpha if is_asked else None,
        frontier=[*job.frontier, *objectives_of(earlier, equipment)],
        seed=derive_seed(equipment.space.search.seed, job.recipe.key, "curve", str(snapshot.step)),
        train_seconds=train_seconds,
    )


def _failed(job: TrialJob, error: Exception, equipment: Equipment) -> CheckpointRecord:
    record = failed_record(
        job, f"{error}\n\n{''.join(traceback.format_exception(error))}", equipment.foundation.theta_0_hash
    )
    on_rank_0(lambda: equipment.sweep.add(record), equipment.device)
    return record
