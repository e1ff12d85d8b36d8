"""`rayforget logs NAME [TRIAL]`: what a sweep on a cluster said, or its workers about one training."""

from pathlib import Path

from rayforget.on_ray.remote.jobs import jobs_of
from rayforget.on_ray.remote.reach import ClusterAddress, reach
from rayforget.on_ray.remote.worker_logs import worker_lines
from rayforget.printable import printable


def print_logs(name: str, trial: str | None, cluster: Path | None, address: str | None) -> None:
    """Prints the log of the sweep's newest job so far, or the workers' lines about a training of it.

    Raises:
        RayforgetError: the cluster is not reached, has no job of that sweep, or no worker's log knows the training.
    """
    with reach(ClusterAddress(cluster=cluster, address=address)) as reached:
        job = jobs_of(reached, name)[0]
        if trial is None:
            print(printable(reached.client.get_job_logs(job.job)), end="")
            return
        for line in worker_lines(reached, job, trial):
            print(printable(line))
