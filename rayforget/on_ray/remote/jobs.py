"""The jobs of a cluster -> those of a sweep, which carry its name; newest first."""

import os
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rayforget.errors import RayforgetError
from rayforget.on_ray.remote.reach import Reached
from rayforget.record.command import program

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

SWEEP, STORAGE, SPACE = (f"rayforget.{name}" for name in ("sweep", "storage", "space"))
"""Keys of a job's metadata: the sweep's name, where its record is, and its space's name."""
_PATIENCE_S = 180.0
"""How long a cluster may take to accept a job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepJob:
    """A job that runs, or ran, a sweep."""

    job: str
    """Ray's id of it."""
    sweep: str
    storage: str
    space: str
    ended: bool
    status: str
    """Ray's word."""
    started: int
    """Unix time in milliseconds."""

    def resuming(self, reached: Reached) -> str:
        """What a user types here to go on with the sweep."""
        return resuming_there(self.sweep, reached, self.storage)


def resuming_there(sweep: str, reached: Reached, storage: str) -> str:
    """The command that goes on with a sweep on the cluster; its storage is never the default of this machine."""
    paths = " --paths-on-cluster" if os.path.isabs(storage) else ""
    return f"{program()} submit --resume {sweep} {reached.way.words}{paths} --storage {shlex.quote(storage)}"


def jobs_of(reached: Reached, sweep: str) -> list[SweepJob]:
    """The sweep's jobs, newest first; at least one.

    Raises:
        RayforgetError: the cluster knows none, since it was started anew or the sweep is another's.
    """
    jobs = sweep_jobs(reached.client)
    found = [job for job in jobs if job.sweep == sweep]
    if found:
        return found
    names = ", ".join(dict.fromkeys(job.sweep for job in jobs)) or "none"
    raise RayforgetError(
        f"this cluster has no job of a sweep {sweep}; found: {names}. A cluster that was started anew has forgotten "
        f"its jobs; the record has not: {resuming_there(sweep, reached, 'STORAGE')}"
    )


def sweep_jobs(client: "JobSubmissionClient") -> list[SweepJob]:
    """Every sweep's jobs, newest first."""
    found = [_sweep_job(details) for details in client.list_jobs() if SWEEP in (details.metadata or {})]
    return sorted(found, key=lambda job: job.started, reverse=True)


def _sweep_job(details: "JobDetails") -> SweepJob:
    metadata = details.metadata or {}
    return SweepJob(
        job=details.submission_id or "",
        sweep=metadata[SWEEP],
        storage=metadata.get(STORAGE, ""),
        space=metadata.get(SPACE, ""),
        ended=details.status.is_terminal(),
        status=str(details.status.value),
        started=details.start_time or 0,
    )


def send_job(reached: Reached, words: Sequence[str], runtime_env: dict[str, Any], metadata: dict[str, str]) -> str:
    """Submits a command; the new job's id. A cluster that has just started has a dashboard before it can take jobs."""
    patience_ends = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return reached.client.submit_job(
                entrypoint=shlex.join(words), runtime_env=runtime_env, metadata=dict(metadata)
            )
        except RuntimeError as error:
            if "No available agent" not in str(error) or time.monotonic() > patience_ends:
                raise RayforgetError(f"the cluster refuses the job: {error}") from None
        time.sleep(1)
