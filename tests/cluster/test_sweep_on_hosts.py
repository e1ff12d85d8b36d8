"""Faults in the middle of a sweep on three hosts: it ends with the points of the sweep that nothing disturbed."""

import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from cluster.hosts import Host, command_of, wait_until
from cluster.own_cluster import OwnCluster

from rayforget.record.sweep import Sweep

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(900)]

KINDS = (
    ("RayTrainWorker",),
    ("TrainController",),
    ("SlotTrainable", "ResourceTrainable"),
    ("Mailbox",),
    ("ThetaKeeper",),
)
"""What a slot consists of, and what slots share, by the titles of their processes."""


def titled(host: Host, titles: tuple[str, ...]) -> list[psutil.Process]:
    """Its processes of Ray's actors of these classes."""
    starts = tuple(f"ray::{title}" for title in titles)
    return [process for process in host.processes() if command_of(process).startswith(starts)]


def test_each_process_of_a_slot_may_be_killed(
    cluster: OwnCluster, space_file: Callable[..., Path], undisturbed: dict[str, Any]
) -> None:
    driver = cluster.sweep(str(space_file("plain")), "--name", "kills", name="kills")
    for number, titles in enumerate(KINDS):
        driver.wait_for_points(2 * number + 1)
        found = [process for host in (cluster.head, *cluster.workers) for process in titled(host, titles)]
        assert found, titles
        driver.note(f"a {titles[0]} killed")
        found[0].kill()
    said = driver.finish(600)
    assert cluster.points("kills") == undisturbed
    assert "Traceback" not in said
    assert "(raylet)" not in said


def test_a_worker_host_loses_its_power_and_another_its_link(
    cluster: OwnCluster, space_file: Callable[..., Path], undisturbed: dict[str, Any]
) -> None:
    """The power comes back after 30 s, the link after 90 s, of which Ray calls 35 a death."""
    driver = cluster.sweep(str(space_file("plain")), "--name", "cut", name="cut")
    driver.wait_for_points(2)
    one, other = cluster.workers
    driver.note("a host's power cut for 30 s")
    one.cut_power()
    time.sleep(30)
    one.boot()
    cluster.join(one)
    driver.wait_for_points(5)
    driver.note("the other host's link down for 90 s")
    other.link(up=False)
    time.sleep(90)
    other.link(up=True)
    cluster.join(other)
    said = driver.finish()
    assert cluster.points("cut") == undisturbed
    assert f"node {one.address} does not answer" in said


def test_a_spot_host_is_taken_away_with_15_s_notice(
    cluster: OwnCluster, space_file: Callable[..., Path], undisturbed: dict[str, Any]
) -> None:
    """Nothing but the notice makes a training save, so that what goes on from a step was saved by it."""
    resources = {"slots": 2, "cpus_per_worker": 1, "checkpoint_every_s": 1000}
    driver = cluster.sweep(str(space_file("spot", resources=resources)), "--name", "spot", name="spot")
    driver.wait_for_points(2)
    spot, _ = cluster.workers
    driver.note("a spot host's notice of 15 s")
    cluster.notices[spot.address] = time.time() + 15
    time.sleep(15)
    spot.cut_power()
    assert "drained: this machine goes in" in (spot.disk / "root" / "spot_notice.log").read_text()
    del cluster.notices[spot.address]
    spot.boot()
    cluster.join(spot)
    driver.finish()
    assert cluster.points("spot") == undisturbed
    assert [record for record in Sweep.open(cluster.storage, "spot").records() if record.facts.get("resumed_from")]


def test_the_driver_is_killed_three_times_and_resumed(
    cluster: OwnCluster, space_file: Callable[..., Path], undisturbed: dict[str, Any]
) -> None:
    moments = random.Random(0)
    driver = cluster.sweep(str(space_file("plain")), "--name", "driver", name="driver")
    for number in range(3):
        driver.wait_for_points(3 * number + 1)
        time.sleep(moments.uniform(0, 4))
        if driver.process.poll() is not None:
            break
        driver.note("the driver killed")
        cluster.kill_driver()
        driver.process.wait(30)
        driver = cluster.sweep("--resume", "driver", "--storage", "s3://bucket/runs", name="driver")
    driver.finish()
    assert cluster.points("driver") == undisturbed


def test_the_storage_is_overloaded_all_the_time_and_refuses_for_half_a_minute(
    cluster: OwnCluster, space_file: Callable[..., Path], undisturbed: dict[str, Any]
) -> None:
    """Every third request is answered by 503; in the middle connections are dropped."""
    driver = cluster.sweep(str(space_file("plain")), "--name", "storage", name="storage")
    refused = [0.0, 0.0]

    def rule(number: int) -> int | None:
        return 0 if refused[0] < time.monotonic() < refused[1] else 503 if number % 3 == 0 else None

    with cluster.door_rule(rule):
        driver.wait_for_points(2)
        driver.note("S3 refuses for 30 s")
        refused[:] = time.monotonic(), time.monotonic() + 30
        time.sleep(30)
        wait_until(lambda: cluster.gauges().get("storage_waits", 0) > 0, 60, "the gauge of waits")
        said = driver.finish()
    assert cluster.points("storage") == undisturbed
    assert "trying again for up to 600 s" in said
    assert "the storage answers again" in said


def test_mlflow_is_dead_from_the_start_and_dies_again(
    cluster: OwnCluster, space_file: Callable[..., Path], undisturbed: dict[str, Any]
) -> None:
    """The head's own MLflow under its supervisor, which is held at first."""
    cluster.head.run("pkill -STOP -f '[m]lflow.sh'; pkill -KILL -f '[m]lflow server'; true")
    driver = cluster.sweep(str(space_file("tracked", tracking={"enabled": True})), "--name", "tracked", name="tracked")
    driver.wait_for_points(3)
    driver.note("MLflow comes")
    cluster.head.run("pkill -CONT -f '[m]lflow.sh'")
    driver.wait_for_points(6)
    driver.note("MLflow killed")
    cluster.head.run("pkill -KILL -f '[m]lflow server'; true")
    driver.finish()
    assert cluster.points("tracked") == undisturbed
    wait_until(lambda: "OK" in cluster.head.run("curl -s localhost:5000/health", check=False), 60, "MLflow")
    said = cluster.head.run(". ~/rayforget-env.sh; rayforget mirror tracked --storage s3://bucket/runs")
    assert re.search("http://127.0.0.1:5000/#/experiments", said)


def test_a_rank_of_a_training_on_two_hosts_is_killed(cluster: OwnCluster, space_file: Callable[..., Path]) -> None:
    two = {"slots": 1, "workers_per_slot": 2, "cpus_per_worker": 1, "checkpoint_every_s": 0.5}
    space = str(space_file("two", resources=two, search={"trainings": 2, "seed": 0, "sampler": "random"}))
    cluster.sweep(space, "--name", "two", name="two").finish()
    driver = cluster.sweep(space, "--name", "rank", name="rank")
    driver.wait_for_points(2)
    rank, *others = titled(cluster.workers[1], ("RayTrainWorker",))
    assert not others
    driver.note("a rank killed")
    rank.kill()
    driver.finish()
    assert cluster.points("rank") == cluster.points("two")
