"""`rayforget stop NAME`: a sweep on a cluster, stopped so that it can go on."""

from pathlib import Path

from rayforget.on_ray.remote.jobs import jobs_of
from rayforget.on_ray.remote.reach import ClusterAddress, reach, say
from rayforget.on_ray.remote.stop import stop_job


def stop_sweep(name: str, cluster: Path | None, address: str | None) -> int:
    """Stops the sweep's job as a Ctrl-C would, waits for its end and says how to go on; returns the exit code.

    Raises:
        RayforgetError: the cluster is not reached, or has no job of that sweep.
    """
    with reach(ClusterAddress(cluster=cluster, address=address)) as reached:
        job = jobs_of(reached, name)[0]
        if job.ended:
            say(
                f"sweep {name} does not run: its job {job.job} has ended ({job.status}); go on with: "
                f"{job.resuming(reached)}"
            )
            return 0
        say(f"stopping sweep {name} (job {job.job}): it reports what is finished, which takes up to two minutes")
        stop_job(reached.client, job.job)
        say(f"stopped; go on with: {job.resuming(reached)}")
        return 0
