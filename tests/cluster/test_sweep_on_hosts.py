"""Faults in the middle of a sweep on three hosts: it ends with the points of the sweep that nothing disturbed."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from cluster.hosts import Host
from cluster.own_cluster import OwnCluster

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
    return [process for process in host.processes() if " ".join(process.cmdline()).startswith(starts)]


def test_each_process_of_a_slot_may_be_killed(
    cluster: OwnCluster, space_file: Callable[..., Path], undisturbed: dict[str, Any]
) -> None:
    driver = cluster.sweep(str(space_file("plain")), "--name", "kills", name="kills")
    for number, titles in enumerate(KINDS):
        driver.wait_for_points(2 * number + 1)
        found = [process for host in (cluster.head, *cluster.workers) for process in titled(host, titles)]
        assert found, titles
        found[0].kill()
    said = driver.finish(400)
    assert cluster.points("kills") == undisturbed
    assert "Traceback" not in said
    assert "(raylet)" not in said


def test_a_worker_host_loses_its_power_and_comes_back(
    cluster: OwnCluster, space_file: Callable[..., Path], undisturbed: dict[str, Any]
) -> None:
    driver = cluster.sweep(str(space_file("plain")), "--name", "cut", name="cut")
    driver.wait_for_points(2)
    worker, _ = cluster.workers
    worker.cut_power()
    time.sleep(30)
    worker.boot()
    said = driver.finish()
    assert cluster.points("cut") == undisturbed
    assert f"node {worker.address} does not answer" in said


def test_the_storage_is_overloaded_all_the_time(
    cluster: OwnCluster, space_file: Callable[..., Path], undisturbed: dict[str, Any]
) -> None:
    cluster.door.rule = lambda number: 503 if number % 3 == 0 else None
    try:
        cluster.sweep(str(space_file("plain")), "--name", "slow", name="slow").finish()
    finally:
        cluster.door.rule = lambda number: None
    assert cluster.points("slow") == undisturbed


def test_the_storage_refuses_for_half_a_minute(
    cluster: OwnCluster, space_file: Callable[..., Path], undisturbed: dict[str, Any]
) -> None:
    driver = cluster.sweep(str(space_file("plain")), "--name", "refused", name="refused")
    driver.wait_for_points(2)
    over = time.monotonic() + 30
    cluster.door.rule = lambda number: 0 if time.monotonic() < over else None
    driver.finish()
    assert cluster.points("refused") == undisturbed
