"""A slot: a Ray Train worker group that stays alive and trains one trial after another.

Nothing that is imported here imports torch: this runs in the slot's actor, which computes nothing.
"""

import logging
import threading
import uuid
from dataclasses import dataclass
from typing import Any

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig

from rayforget.on_ray.answers import Reply
from rayforget.on_ray.cluster_size import card
from rayforget.on_ray.lean_trainer import LeanTrainer
from rayforget.on_ray.mailbox import Pulse, start_mailbox
from rayforget.on_ray.parcel import Parcel
from rayforget.on_ray.placement import remove_orphaned_groups
from rayforget.on_ray.process_group import ProcessGroup
from rayforget.on_ray.ray_state import IN_MEMORY
from rayforget.on_ray.worker_config import WorkerConfig
from rayforget.record.jobs import Job
from rayforget.space.parts import Resources
from rayforget.trial.equipment_spec import EquipmentSpec

logger = logging.getLogger(__name__)
_POLL_S = 5.0
_START_LIMIT_S = 1800.0
"""A cluster may have to boot its nodes first, and a worker may be silent while it downloads a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotSpec:
    """Where and with what a slot's worker group runs."""

    name: str
    equipment: Parcel[EquipmentSpec]
    resources: Resources
    """The space's, which the slot obeys without knowing the space."""
    keeper: Any = None
    """Handle of a `ThetaKeeper`, if workers share theta_0."""
    local: bool = False
    """Whether all workers are on this machine."""


class Slot:
    """Starts a worker group in a thread and hands it jobs; belongs to one process."""

    def __init__(self, spec: SlotSpec) -> None:
        self._spec = spec
        self._resources = spec.resources
        self._mailbox = start_mailbox(self._resources.max_attempts)
        self._starts = 0
        self._error: BaseException | None = None
        self._thread = self._start()

    def run(self, job: Parcel[Job]) -> Reply:
        """Does one job; blocks until it is answered. Never raises for failures of the job."""
        number = ray.get(self._mailbox.post.remote(job))
        while True:
            reply = ray.get(self._mailbox.reply.remote(number, _POLL_S))
            if reply is not None:
                return reply  # type: ignore[no-any-return]
            if not self._thread.is_alive():
                self._restart_or_answer(number)
            pulse: Pulse = ray.get(self._mailbox.pulse.remote())
            if pulse.idle_s > _POLL_S:
                remove_orphaned_groups()
            if pulse.attempts > 0 and pulse.idle_s > self._resources.trial_timeout_s:
                self._end_stuck(number, pulse)
            if pulse.attempts == 0 and (reason := why_not_started(pulse)):
                ray.get(self._mailbox.answer.remote(number, Reply(error=reason, refused=True)))

    def close(self) -> None:
        """Ends the worker group and waits for it."""
        ray.get(self._mailbox.close.remote())
        self._thread.join(timeout=30)
        ray.kill(self._mailbox)

    def _start(self) -> threading.Thread:
        self._starts += 1
        worker = WorkerConfig(mailbox=self._mailbox, equipment=self._spec.equipment, keeper=self._spec.keeper)
        trainer = LeanTrainer(
            worker_loop,
            train_loop_config={"worker": worker},
            backend_config=ProcessGroup(loopback=self._spec.local or self._resources.workers_per_slot == 1),
            scaling_config=ScalingConfig(
                num_workers=self._resources.workers_per_slot,
                use_gpu=self._resources.gpus_per_worker > 0,
                resources_per_worker=worker_resources(self._resources),
            ),
            run_config=RunConfig(
                name=f"{self._spec.name}-{uuid.uuid4().hex[:8]}",
                storage_path="/ray",
                storage_filesystem=IN_MEMORY,
                failure_config=FailureConfig(max_failures=-1),
            ),
        )

        def fit() -> None:
            try:
                trainer.fit()
            except BaseException as error:
                self._error = error

        thread = threading.Thread(target=fit, name=self._spec.name, daemon=True)
        thread.start()
        return thread

    def _restart_or_answer(self, number: int) -> None:
        error = self._error
        logger.warning("the worker group of %s ended: %s", self._spec.name, error)
        if self._starts >= self._resources.max_attempts:
            reason = f"the worker group could not be started {self._starts} times; last: {error}"
            ray.get(self._mailbox.answer.remote(number, Reply(error=reason, refused=True)))
            return
        self._thread = self._start()

    def _end_stuck(self, number: int, pulse: Pulse) -> None:
        reason = (
            f"no progress for {pulse.idle_s:.0f} s (resources.trial_timeout_s: "
            f"{self._resources.trial_timeout_s:g}) in {pulse.stage or 'start'} {pulse.done}/{pulse.total}"
        )
        ray.get(self._mailbox.answer.remote(number, Reply(error=reason)))
        for worker in pulse.workers:
            ray.kill(worker, no_restart=True)


def worker_loop(config: dict[str, WorkerConfig]) -> None:
    """What Ray Train runs on every rank; the worker's own imports are made there alone."""
    from rayforget.on_ray.worker import work

    work(config["worker"])


def worker_resources(resources: Resources) -> dict[str, float]:
    """What one worker asks of Ray; of its card's kind a trace, as Ray's own accelerator types do."""
    asked: dict[str, float] = {"CPU": resources.cpus_per_worker}
    if resources.gpus_per_worker > 0:
        asked["GPU"] = resources.gpus_per_worker
    if resources.accelerator is not None:
        asked[card(resources.accelerator)] = 0.001
    return asked


def why_not_started(pulse: Pulse) -> str | None:
    """Why workers do not get to their first job, if that has lasted too long; otherwise None.

    Joining and every sign of life during the set-up restart the clock: a set-up may take as long as it needs.
    """
    if pulse.idle_s <= _START_LIMIT_S:
        return None
    if not pulse.workers:
        return f"no workers came up in {pulse.idle_s:.0f} s; does the cluster have what the slots ask for?"
    last = f"{pulse.stage} {pulse.done}/{pulse.total}" if pulse.stage else "it joined"
    return f"no worker could be set up: none said anything for {pulse.idle_s:.0f} s since {last}; see --verbose"
