"""`rayforget submit`: a sweep as a job of a cluster, reached from here."""

from collections.abc import Sequence
from pathlib import Path

from rayforget.on_ray.submit import submit_sweep
from rayforget.on_ray.way.reach import Way


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
    """Submits and follows a sweep; returns its exit code. Arguments and errors as for `submit_sweep` and `Way`."""
    return submit_sweep(
        Way(cluster=cluster, address=address),
        space=space,
        overrides=overrides,
        name=name,
        resume=resume,
        storage=storage,
        paths_on_cluster=paths_on_cluster,
    )
