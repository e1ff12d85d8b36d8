"""`rayforget submit`: a sweep as a job of a cluster, reached from here."""

from collections.abc import Sequence
from pathlib import Path

from rayforget.on_ray.remote.reach import ClusterAddress
from rayforget.on_ray.submit import submit_sweep


def submit_there(
    cluster: Path | None,
    address: str | None,
    *,
    space: Path | None,
    overrides: Sequence[str],
    name: str | None,
    resume: str | None,
    storage: str | None,
    paths_on_cluster: bool,
) -> int:
    """Submits and follows a sweep; returns its exit code.

    Arguments and errors are those of `submit_sweep` and `ClusterAddress`.
    """
    return submit_sweep(
        ClusterAddress(cluster=cluster, address=address),
        space=space,
        overrides=overrides,
        name=name,
        resume=resume,
        storage=storage,
        paths_on_cluster=paths_on_cluster,
    )
