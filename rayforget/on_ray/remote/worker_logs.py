"""A sweep's job and one of its trainings -> what the workers that trained it wrote, on whatever nodes they are."""

from collections.abc import Iterator
from urllib.parse import urlencode

from rayforget.errors import RayforgetError
from rayforget.on_ray.log_marks import lines_about
from rayforget.on_ray.remote.jobs import SweepJob
from rayforget.on_ray.remote.reach import Reached
from rayforget.record.command import program

_CLASS = "RayTrainWorker"
"""Ray Train's class of a worker group's members."""
_MOST = 10_000
"""As many actors as Ray's server remembers."""


def worker_lines(reached: Reached, job: SweepJob, trial: str) -> Iterator[str]:
    """The lines of every worker that trained it, each worker's under a line that says where it is.

    Raises:
        RayforgetError: no worker whose log can be read has trained it in this job.
    """
    from ray.util.state import list_actors

    of_job = reached.client.get_job_info(job.job).job_id
    filters: list[tuple[str, str, str | bool | int | float]] = [
        ("class_name", "=", _CLASS),
        ("job_id", "=", of_job or ""),
    ]
    actors = list_actors(address=reached.url, filters=filters, limit=_MOST, raise_on_missing_output=False)
    found = unread = 0
    for actor in actors:
        text = _log_of(reached, actor.actor_id)
        if text is None:
            unread += 1
        elif lines := list(lines_about(trial, text.splitlines())):
            found += 1
            yield f"— worker {actor.pid} on node {(actor.node_id or '')[:12]}, {str(actor.state).lower()}"
            yield from lines
    if not found:
        gone = f"; the logs of {unread} more are out of reach, their nodes are gone" if unread else ""
        raise RayforgetError(
            f"none of {len(actors) - unread} workers of job {job.job} has trained {trial}{gone}. What the sweep itself "
            f"says of it: {program()} logs {job.sweep} {reached.way.words}; why it failed is in its record: "
            f"{program()} status {job.sweep} --storage {job.storage}"
        )


def _log_of(reached: Reached, actor: str) -> str | None:
    """A worker's standard error; None if its node is gone."""
    query = urlencode({"actor_id": actor, "suffix": "err", "lines": -1, "timeout": 20})
    answer = reached.client._do_request("GET", f"/api/v0/logs/file?{query}")
    return answer.text if answer.status_code == 200 else None
