"""A connection to Ray: to a private cluster on this machine's loopback, or to a running one."""

import json
import logging
import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from rayforget.errors import RayforgetError
from rayforget.space.parts import Resources

logger = logging.getLogger(__name__)

_ENVIRONMENT = {
    # Under `uv run` Ray would upload the working directory and build another environment for its workers.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "600",
    # An idle slot waits in a collective for its next job, which is no reason to warn every minute.
    "RAY_TRAIN_COLLECTIVE_WARN_INTERVAL_S": "86400",
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A worker's threads wait for each other asleep. Awake they occupy the core that another process needs, and with it
    # the thread they wait for: on 2 cores shared with other work, a step took 2 to 30 times as long (measured).
    "OMP_WAIT_POLICY": "PASSIVE",
}


_LOOPBACK = "lo" if sys.platform == "linux" else "lo0"
_LOCAL_ENVIRONMENT = {
    # Ray's switch for "only this machine": the addresses of its node and ports become 127.0.0.1. Without it
    # `_node_ip_address="127.0.0.1"` is replaced by the machine's address on the network.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # The ranks' own connections, which else go by what the machine's name resolves to.
    "GLOO_SOCKET_IFNAME": _LOOPBACK,
    "NCCL_SOCKET_IFNAME": _LOOPBACK,
    # A slot is a dozen actors, and Ray warns about more than four per core.
    "RAY_worker_maximum_startup_concurrency": "32",
}


_OF_WORKERS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_WAIT_POLICY": _ENVIRONMENT["OMP_WAIT_POLICY"],
}
"""On this machine workers inherit them from the driver; a cluster's workers were started by somebody else."""

_ADDRESSES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")


def prepare_environment() -> None:
    """Sets what Ray reads when it is imported or started, unless the user has set it."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def needed_cpus(resources: Resources) -> float:
    """CPUs that the slots' workers take together."""
    return resources.slots * resources.workers_per_slot * resources.cpus_per_worker


@contextmanager
def without_ray_address() -> Iterator[dict[str, str]]:
    """Removes from the environment what sends Ray to a cluster despite its arguments, and restores it.

    Yields:
        The removed variables.
    """
    found = {name: os.environ.pop(name) for name in _ADDRESSES if name in os.environ}
    try:
        yield found
    finally:
        os.environ.update(found)


@contextmanager
def ray_session(resources: Resources, *, address: str | None, verbose: bool = False) -> Iterator[str]:
    """Connects to `address`, or starts Ray on this machine alone, and leaves no process behind.

    RAY_ADDRESS only counts for `auto`, where it names the cluster. Otherwise it is ignored, with a message if no
    address is given.

    Yields:
        The dashboard's URL, empty if there is none.

    Raises:
        RayforgetError: Ray does not start, or no cluster answers.
    """
    prepare_environment()
    if address is None:
        os.environ.update(_LOCAL_ENVIRONMENT)
        # This machine will not be preempted; the watcher would be one more process per slot (3 s of CPU to start).
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
        # If set (by container images), each of Ray's processes would compile all that it imports: 4 s of CPU each.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    environment = nullcontext(dict[str, str]()) if address == "auto" else without_ray_address()
    with environment as unused:
        if address is None and (elsewhere := unused.get("RAY_ADDRESS")) not in (None, "", "local"):
            logger.warning(
                "RAY_ADDRESS=%s is not used: this sweep runs on this machine alone; --address %s takes that cluster",
                elsewhere,
                elsewhere,
            )
        import ray
        from ray._private import ray_constants

        from rayforget.on_ray.ray_messages import Messages, in_our_words

        # Ray may have been imported before `prepare_environment`, in a notebook say.
        ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] not in ("0", "false")

        with nullcontext() if verbose else in_our_words(Messages(logger.warning)):
            try:
                yield _start(resources, verbose) if address is None else _join(address, verbose)
            finally:  # also on a Ctrl-C while it starts
                ray.shutdown()


def joined_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that workers of any cluster get besides their own: no telemetry, threads that wait asleep.

    This process's environment takes precedence over our own choice. Variables that the job's own environment already
    sets are left out, since Ray refuses to be told one twice.
    """
    job = json.loads(environment.get("RAY_JOB_CONFIG_JSON_ENV_VAR") or "{}")
    told = ((job.get("runtime_env") or {}).get("env_vars") or {}).keys()
    return {name: environment.get(name, value) for name, value in _OF_WORKERS.items() if name not in told}


def _start(resources: Resources, verbose: bool) -> str:
    from ray._private import ray_constants

    ray_constants.ENABLE_RAY_CLUSTER = False  # Ray may have been imported before the variable that says so was set
    needed, there = needed_cpus(resources), os.cpu_count() or 1
    if needed > there:
        logger.warning("the slots ask for %g CPUs, this machine has %d: they will share them", needed, there)
    return _init(
        "Ray does not start on this machine",
        address="local",
        num_cpus=int(max(needed, there)) + 1,
        include_dashboard=True,
        dashboard_host="127.0.0.1",
        log_to_driver=verbose,
        logging_level=logging.INFO if verbose else logging.ERROR,
        configure_logging=True,
        _node_ip_address="127.0.0.1",
        _temp_dir=_closed_folder(),
    )


def _closed_folder() -> str | None:
    """A folder for Ray's sessions that only this user can enter; None where the user has named one (RAY_TMPDIR).

    Ray makes its own for all users to read, and its logs repeat what it was given. Its own cannot be closed: starting a
    worker opens it again.
    """
    if os.environ.get("RAY_TMPDIR"):
        return None
    folder = Path("/tmp", f"rayforget-{os.getuid()}")  # as Ray, since sockets below a longer path are refused
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        return tempfile.mkdtemp(prefix="rf-", dir="/tmp")  # somebody else was there
    folder.chmod(0o700)
    return str(folder / "ray")


def _join(address: str, verbose: bool) -> str:
    return _init(
        f"no Ray cluster can be joined at {address}",
        address=address,
        runtime_env={"env_vars": joined_environment(os.environ)},
        log_to_driver=verbose,
        logging_level=logging.ERROR,
    )


def _init(problem: str, **options: Any) -> str:
    import ray

    try:
        return ray.init(**options).dashboard_url or ""
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        logger.info("%s", problem, exc_info=True)
        raise RayforgetError(f"{problem}: {error}") from error
