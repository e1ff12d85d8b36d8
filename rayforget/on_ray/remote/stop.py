"""A job of a cluster -> the same job, ended as by Ctrl-C, and by force if it does not end by itself."""

import time
from typing import TYPE_CHECKING

from rayforget.errors import RayforgetError

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

_PATIENCE_S = 180.0
"""Ray ends a job by force after 120 s (`RAY_JOB_STOP_WAIT_TIME_S` of the job)."""


def stop_job(client: "JobSubmissionClient", job: str) -> None:
    """Asks the job to end and waits until it has.

    Raises:
        RayforgetError: it does not end.
    """
    client.stop_job(job)
    deadline = time.monotonic() + _PATIENCE_S
    while not client.get_job_info(job).status.is_terminal():
        if time.monotonic() > deadline:
            raise RayforgetError(f"job {job} has not ended after {_PATIENCE_S:g} s; look at it: ray job status {job}")
        time.sleep(0.5)
