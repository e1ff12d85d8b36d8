"""A space file, or a sweep to go on with -> the sweep as a job of a cluster, followed to its end from here."""

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rayforget.errors import RayforgetError, SpaceError
from rayforget.on_ray.remote.follow import follow, how_to_go_on
from rayforget.on_ray.remote.jobs import SPACE, STORAGE, SWEEP, jobs_of, send_job
from rayforget.on_ray.remote.reach import ClusterAddress, Reached, reach, say
from rayforget.record.command import PATHS, PROGRAM, WAY, program
from rayforget.record.names import check_name, name_by_time
from rayforget.space.file.elsewhere import KEYS_IN_STORAGE, check_elsewhere, variables_for
from rayforget.space.file.load import load_space
from rayforget.space.file.secrets import has_written_secret
from rayforget.space.paths import is_uri
from rayforget.space.shipped import quickstart

_WITHHELD = (
    "not sent, since they may hold secrets and Ray logs what is sent: {names}; they must be set where the cluster's "
    "head is started"
)

_JOB_ENVIRONMENT = {
    # Ray's stop then acts like Ctrl-C: the sweep ends cleanly and says how to resume.
    "RAY_JOB_STOP_SIGNAL": "SIGINT",
    "RAY_JOB_STOP_WAIT_TIME_S": "120",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What a job is to do."""

    sweep: str
    storage: str
    space: str
    options: Sequence[str]
    """Of `rayforget sweep`."""
    environment: dict[str, str]


def submit_sweep(
    way: ClusterAddress,
    *,
    space: Path | None,
    overrides: Sequence[str],
    name: str | None,
    resume: str | None,
    storage: str | None = None,
    paths_on_cluster: bool = False,
) -> int:
    """Submits a sweep to a cluster and prints the job's output.

    The cluster's nodes must have rayforget installed, as by cluster.yaml; only the space file and the environment
    variables that it reads are sent, without those that may hold secrets: Ray keeps what is sent in its logs.

    Args:
        way: how the cluster is reached.
        space: the space file; None takes the quickstart's.
        overrides: `key.path=value` options.
        name: the sweep's name; None makes one of the space's and the time.
        resume: name of a sweep to go on with instead.
        storage: where that sweep's record is, None for where its last job on this cluster had it; a new sweep's is in
            the space.
        paths_on_cluster: every node has the absolute paths that the space names.

    Returns:
        The job's exit code; 130 if the user left it with Ctrl-C.

    Raises:
        SpaceError: the space names what only this machine has; nothing was submitted.
        RayforgetError: no cluster answers there, or it refuses.
    """
    with tempfile.TemporaryDirectory(prefix="rayforget-job-") as folder:
        if resume is not None:
            if space is not None:
                raise SpaceError("--resume takes the space from the record; leave the space file out")
            if name is not None:
                raise SpaceError(f"--resume {resume} goes on under that name; leave --name out")
            if storage is not None:
                _check_reachable(storage, paths_on_cluster)
            with reach(way) as reached:
                order = _going_on(reached, resume, overrides, storage)
                return _send_and_follow(reached, order, folder)
        order = _new(space or quickstart(), overrides, name, Path(folder), paths_on_cluster)
        with reach(way) as reached:
            return _send_and_follow(reached, order, folder)


def _new(path: Path, overrides: Sequence[str], name: str | None, folder: Path, paths_on_cluster: bool) -> _Order:
    """A new sweep; its space file is copied into the folder that is sent."""
    loaded = load_space(path, overrides)
    check_elsewhere(loaded, paths_on_cluster=paths_on_cluster)
    name = name_by_time(loaded.space.name, time.time()) if name is None else name
    check_name(name)
    variables = variables_for(loaded, os.environ)
    if variables.withheld:
        say(_WITHHELD.format(names=", ".join(variables.withheld)))
    shutil.copy(path, folder / path.name)
    return _Order(
        sweep=name,
        storage=loaded.space.storage.path,
        space=loaded.space.name,
        options=[path.name, *_set(overrides), "--name", name, *_shared(loaded.space.storage.path)],
        environment=dict(variables.sent),
    )


def _going_on(reached: Reached, sweep: str, overrides: Sequence[str], storage: str | None) -> _Order:
    """A sweep that has a record; its storage is known to its last job here if the user does not name it."""
    check_name(sweep)
    space = ""
    if storage is None:
        try:
            last = jobs_of(reached, sweep)[0]
        except RayforgetError:
            raise SpaceError(
                f"where is the record of {sweep}? This cluster has run no job of it, so say the storage that it was "
                "started with: --storage s3://BUCKET/runs"
            ) from None
        storage, space = last.storage, last.space
    options = ["--resume", sweep, "--storage", storage, *_set(overrides), *_shared(storage)]
    return _Order(sweep=sweep, storage=storage, space=space, options=options, environment={})


def _send_and_follow(reached: Reached, order: _Order, folder: str) -> int:
    words = ["rayforget", "sweep", *order.options, "--address", "auto"]
    environment = {**_JOB_ENVIRONMENT, **order.environment, PROGRAM: program(), WAY: reached.way.words}
    if not is_uri(order.storage):
        environment[PATHS] = "--paths-on-cluster"
    metadata = {SWEEP: order.sweep, STORAGE: order.storage, SPACE: order.space}
    sent = send_job(reached, words, {"working_dir": folder, "env_vars": environment}, metadata)
    job = next(job for job in jobs_of(reached, order.sweep) if job.job == sent)
    goes_on = "it goes on when this command ends"
    say(f"sweep {order.sweep} is job {job.job} of the cluster; {goes_on}\n{how_to_go_on(reached, order.sweep)}")
    return follow(reached, job)


def _set(overrides: Sequence[str]) -> list[str]:
    return [word for override in overrides for word in ("--set", override)]


def _shared(storage: str) -> list[str]:
    """A folder that got this far is one that every node has."""
    return [] if is_uri(storage) else ["--set", "storage.shared=true"]


def _check_reachable(storage: str, paths_on_cluster: bool) -> None:
    """Refuses the storage of a sweep to go on with that the cluster cannot see."""
    if has_written_secret(storage):
        raise SpaceError(KEYS_IN_STORAGE)
    if is_uri(storage) or (paths_on_cluster and os.path.isabs(storage)):
        return
    raise SpaceError(
        f"--storage {storage} is a folder of this machine, which the cluster cannot reach; give the one that "
        "the sweep was started with: a URI, or with --paths-on-cluster an absolute path"
    )
