"""Trainings that are ill themselves: a number that is none, one that never ends, one that takes all memory there is."""

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from cluster.hosts import titled
from cluster.memory_limit import memory_limit
from cluster.own_cluster import OwnCluster

from rayforget.record.sweep import Sweep

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(600)]

TOLD = {
    "nan": "not finite",
    "hang": "no progress for",
    "hog": "died 2 times on this job",
}


def test_each_is_told_for_what_it_is_and_the_others_are_done(
    cluster: OwnCluster, space_file: Callable[..., Path]
) -> None:
    ill = {does: {"penalties": [{"kind": "ill", "does": does, "strength": 1}]} for does in TOLD}
    file = space_file(
        "ill",
        methods={**ill, "well": {}},
        search={"trainings": 4, "seed": 0, "sampler": "random"},
        resources={"slots": 2, "cpus_per_worker": 1, "trial_timeout_s": 20, "max_attempts": 2},
    )

    def workers() -> list[psutil.Process]:
        return [process for host in cluster.workers for process in titled(host, ("RayTrainWorker",))]

    with memory_limit(2 * 2**30, workers):
        driver = cluster.sweep(str(file), "--name", "ill", name="ill")
        said = driver.finish()
    records = Sweep.open(cluster.storage, "ill").records()
    reasons = {record.trial: record.reason or "" for record in records if record.status == "failed"}
    assert sorted(name.partition("-")[2] for name in reasons) == sorted(TOLD)
    for name, reason in reasons.items():
        assert TOLD[name.partition("-")[2]] in reason
    well = [record for record in records if record.trial.endswith(("-well", "-plain"))]
    assert [record.status for record in well] == ["ok"] * 6
    assert "Traceback" not in said
    assert not workers()
