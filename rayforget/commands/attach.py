"""`rayforget attach NAME`: a sweep's newest job on a cluster, followed again."""

from pathlib import Path

from rayforget.on_ray.remote.follow import follow
from rayforget.on_ray.remote.jobs import jobs_of
from rayforget.on_ray.remote.reach import ClusterAddress, reach


def attach_to(name: str, cluster: Path | None, address: str | None) -> int:
    """Prints the job's output from its beginning to its end; returns its exit code.

    Raises:
        RayforgetError: the cluster is not reached, or has no job of that sweep.
    """
    with reach(ClusterAddress(cluster=cluster, address=address)) as reached:
        return follow(reached, jobs_of(reached, name)[0])
