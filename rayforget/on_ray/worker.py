"""One Ray Train worker: sets up once, then does one job after another until the mailbox is closed."""

import logging
import time
import traceback
from typing import Any

import ray
import torch
from ray.train import get_context
from ray.train.collective import broadcast_from_rank_zero

from rayforget.distributed import any_rank, from_every_rank
from rayforget.errors import RecordError, SpaceError, TaskError
from rayforget.eviction import EvictedError, told_by
from rayforget.extensions.extras import MissingExtraError
from rayforget.extensions.use import in_a_line
from rayforget.foundations.sharing import keep_own
from rayforget.heartbeat import Heartbeat, heard_by
from rayforget.on_ray.answers import Failure, Reply
from rayforget.on_ray.draining import draining
from rayforget.on_ray.log_marks import noted
from rayforget.on_ray.parcel import Parcel
from rayforget.on_ray.shared_theta import share_through
from rayforget.on_ray.worker_config import WorkerConfig
from rayforget.record.jobs import Job, TrialJob
from rayforget.trial.equipment import Equipment
from rayforget.trial.pipeline import run_trial, score_tests

logger = logging.getLogger(__name__)

_BEAT_EVERY_S = 0.5
_PASSING = (torch.AcceleratorError, torch.OutOfMemoryError, torch.distributed.DistError, MemoryError)
"""Errors of a device, of memory and of the ranks' connections."""


def work(worker: WorkerConfig) -> None:
    """Works as one rank of a slot's worker group."""
    context = get_context()
    mailbox, rank = worker.mailbox, context.get_world_rank()
    ray.get(mailbox.join.remote(rank, ray.get_runtime_context().current_actor))
    if broadcast_from_rank_zero(ray.get(mailbox.closed.remote()) if rank == 0 else None):
        return
    equipment = _set_up(worker, mailbox, rank, context.get_local_rank())
    here = ray.get_runtime_context().get_node_id()
    notice = draining(frozenset(from_every_rank(here, equipment.device)))
    while True:
        taken = broadcast_from_rank_zero(ray.get(mailbox.take.remote()) if rank == 0 else None)
        if taken is None:
            return
        number, attempt = taken
        with told_by(notice):
            _do(number, attempt, mailbox, rank, context.get_world_size(), equipment)


def _set_up(worker: WorkerConfig, mailbox: Any, rank: int, local_rank: int) -> Equipment:
    share = keep_own if worker.keeper is None else share_through(worker.keeper)
    try:
        with heard_by(_heartbeat(None, mailbox)):
            spec = worker.equipment.unpacked()
            torch.set_num_threads(max(1, int(spec.space.resources.cpus_per_worker)))
            equipment = Equipment.open(spec, local_rank=local_rank, share=share)
            any_rank(
                False, equipment.device
            )  # none takes a job before all are set up, so a failed set-up never saw one
            return equipment
    except Exception as error:
        ray.get(mailbox.refuse.remote(rank, f"a worker could not be set up: {in_a_line(error)}"))
        raise


def _do(number: int, attempt: int, mailbox: Any, rank: int, num_ranks: int, equipment: Equipment) -> None:
    """Does one job and answers it; restarts the group after a failure that may have broken ranks or device."""
    parcel: Parcel[Job] = ray.get(mailbox.job.remote(number))
    try:
        job = parcel.unpacked()
        with noted(job, attempt):
            value = run_job(job, equipment, _heartbeat(number, mailbox))
    except EvictedError as error:
        logger.warning("job %d: %s", number, error)
        ray.get(mailbox.spare.remote(number, attempt))
        raise
    except Exception as error:
        failure = failure_of(error, rank, num_ranks)
        logger.warning("job %d failed: %s", number, failure.reason)
        ray.get(mailbox.fail.remote(number, attempt, failure))
        if num_ranks > 1 or failure.passing:
            raise
        return
    if rank == 0:
        ray.get(mailbox.answer.remote(number, Reply(value=value)))


def run_job(job: Job, equipment: Equipment, heartbeat: Heartbeat) -> Any:
    """The steps at which a training was recorded, or the number of points scored on `test`."""
    if isinstance(job, TrialJob):
        return [record.step for record in run_trial(job, equipment, heartbeat)]
    return score_tests(job, equipment, heartbeat)


def failure_of(error: Exception, rank: int, num_ranks: int) -> Failure:
    """An error on this rank as a failure of its job.

    The survivor of a dead peer gets a plain RuntimeError from gloo, so with several ranks a plain one tells nothing
    about the job, whatever its text.
    """
    refused = isinstance(error, TaskError | RecordError | SpaceError | MissingExtraError | OSError)
    if refused:
        logger.info("rank %d: %s", rank, error, exc_info=error)
    return Failure(
        rank=rank,
        num_ranks=num_ranks,
        reason=in_a_line(error),
        traceback="".join(traceback.format_exception(error)),
        refused=refused,
        passing=isinstance(error, _PASSING) or (num_ranks > 1 and type(error) is RuntimeError),
    )


def _heartbeat(number: int | None, mailbox: Any) -> Heartbeat:
    """Reports a job, or a set-up (None), to the mailbox; every rank does: one may decode while the others wait.

    Reports often enough, and every new stage at once, so that a hang is blamed on the right one.
    """
    last, last_stage = 0.0, ""

    def beat(stage: str, done: int, total: int) -> None:
        nonlocal last, last_stage
        now = time.monotonic()
        if stage != last_stage or now - last > _BEAT_EVERY_S:
            last, last_stage = now, stage
            mailbox.beat.remote(number, stage, done, total)

    return beat
