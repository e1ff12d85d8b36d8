"""A space file and a cluster's dashboard -> the same sweep as a job of that cluster, followed to its end from here."""

import asyncio
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rayforget.errors import RayforgetError, SpaceError
from rayforget.on_ray.session import prepare_environment, without_ray_address
from rayforget.printable import printable
from rayforget.space.file.elsewhere import KEYS_IN_STORAGE, check_elsewhere, variables_for
from rayforget.space.file.load import load_space
from rayforget.space.file.secrets import has_written_secret
from rayforget.space.paths import is_uri
from rayforget.space.shipped import quickstart

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

INTERRUPTED = 130
"""Exit code after Ctrl-C, which ends the following but not the job."""
_PATIENCE_S = 180.0
"""How long a cluster may take to accept a job."""

_WITHHELD = (
    "not sent, since they may hold secrets and Ray logs what is sent: {names}; they must be set where the cluster's "
    "head is started"
)

_JOB_ENVIRONMENT = {
    # `ray job stop` then acts like Ctrl-C: the sweep ends cleanly and says how to resume.
    "RAY_JOB_STOP_SIGNAL": "SIGINT",
    "RAY_JOB_STOP_WAIT_TIME_S": "120",
    "PYTHONUNBUFFERED": "1",
}


def submit_sweep(
    address: str,
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
        address: the dashboard's, `http://HOST:8265`; usually the near end of an SSH tunnel.
        space: the space file; None takes the quickstart's.
        overrides: `key.path=value` options.
        name: the sweep's name; None lets the job choose one.
        resume: name of a sweep to go on with instead.
        storage: where that sweep's record is; a new sweep's is in the space.
        paths_on_cluster: every node has the absolute paths that the space names.

    Returns:
        The job's exit code; 130 if the user left it with Ctrl-C.

    Raises:
        SpaceError: the space names what only this machine has; nothing was submitted.
        RayforgetError: no cluster answers there, or it refuses.
    """
    options = [word for override in overrides for word in ("--set", override)]
    environment = dict(_JOB_ENVIRONMENT)
    with tempfile.TemporaryDirectory(prefix="rayforget-job-") as folder:
        if resume is not None:
            place = _reachable(storage, paths_on_cluster)
            options += ["--resume", resume, "--storage", place]
            if not is_uri(place):
                options += ["--set", "storage.shared=true"]
            if space is not None:
                raise SpaceError("--resume takes the space from the record; leave the space file out")
        else:
            path = space or quickstart()
            loaded = load_space(path, overrides)
            check_elsewhere(loaded, paths_on_cluster=paths_on_cluster)
            variables = variables_for(loaded, os.environ)
            environment |= variables.sent
            if variables.withheld:
                _say(_WITHHELD.format(names=", ".join(variables.withheld)))
            shutil.copy(path, Path(folder) / path.name)
            options = [path.name, *options, *(["--name", name] if name is not None else [])]
            if not is_uri(loaded.space.storage.path):  # check_elsewhere let it pass: every node has it
                options += ["--set", "storage.shared=true"]
        client = _connect(address)
        entrypoint = shlex.join(["rayforget", "sweep", *options, "--address", "auto"])
        job = _submit(client, entrypoint, {"working_dir": folder, "env_vars": environment}, address)
    return _follow(client, job, address)


def _reachable(storage: str | None, paths_on_cluster: bool) -> str:
    """The storage of a sweep to go on with, as the cluster sees it."""
    if storage is not None and has_written_secret(storage):
        raise SpaceError(KEYS_IN_STORAGE)
    if storage is not None and (is_uri(storage) or (paths_on_cluster and os.path.isabs(storage))):
        return storage
    raise SpaceError(
        f"--storage {storage or 'runs'} is a folder of this machine, which the cluster cannot reach; give the one that "
        "the sweep was started with: a URI, or with --paths-on-cluster an absolute path"
    )


def _connect(address: str) -> "JobSubmissionClient":
    prepare_environment()
    if _has_token():
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    try:
        with without_ray_address():  # Ray would prefer it to the given address
            return JobSubmissionClient(address)
    except ConnectionError:
        raise RayforgetError(
            f"no Ray dashboard answers at {address}; is the tunnel open (`ray dashboard cluster.yaml`) and the cluster "
            "up (`ray up cluster.yaml`)?"
        ) from None
    except (AuthenticationError, RuntimeError) as error:
        raise RayforgetError(
            f"the Ray dashboard at {address} does not let us in; the cluster's token must lie in ~/.ray/auth_token, or "
            f"in RAY_AUTH_TOKEN: {error}"
        ) from None


def _has_token() -> bool:
    """Whether this user has a token to send; Ray sends one only if RAY_AUTH_MODE says so."""
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(named) or (Path.home() / ".ray" / "auth_token").is_file()


def _submit(client: "JobSubmissionClient", entrypoint: str, runtime_env: dict[str, Any], address: str) -> str:
    """The new job's id; a cluster that has just started has a dashboard before it can take jobs."""
    patience_ends = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return client.submit_job(entrypoint=entrypoint, runtime_env=runtime_env)
        except RuntimeError as error:
            if "No available agent" not in str(error) or time.monotonic() > patience_ends:
                raise RayforgetError(f"the cluster at {address} refuses the job: {error}") from None
        time.sleep(1)


def _follow(client: "JobSubmissionClient", job: str, address: str) -> int:
    """Prints the job's output until it ends, or until the user or the connection ends the following."""
    from aiohttp import ClientError

    at = f"--address {address} {job}"
    hints = f"  follow it:  ray job logs --follow {at}\n  end it:     ray job stop {at}"
    _say(f"submitted to {address} as job {job}; it goes on when this command ends\n{hints}")
    try:
        asyncio.run(_print_logs(client, job))
        return _exit_code(client, job)
    except KeyboardInterrupt:
        _say(f"\nno longer following; job {job} goes on\n{hints}")
        return INTERRUPTED
    except (RuntimeError, OSError, ClientError) as error:
        lost = f"the connection to {address} is lost ({error}); job {job} goes on"
        raise RayforgetError(lost, *hints.split("\n")) from None


async def _print_logs(client: "JobSubmissionClient", job: str) -> None:
    async for lines in client.tail_job_logs(job):
        print(lines, end="", flush=True)


def _exit_code(client: "JobSubmissionClient", job: str) -> int:
    from ray.job_submission import JobStatus

    while not (info := client.get_job_info(job)).status.is_terminal():
        time.sleep(0.5)  # the end of the output arrives a moment before the end of the job
    if info.status == JobStatus.SUCCEEDED:
        return 0
    _say(f"job {job}: {info.status}: {info.message}")
    return info.driver_exit_code or (INTERRUPTED if info.status == JobStatus.STOPPED else 1)


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)
