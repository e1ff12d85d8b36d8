"""Faults in the middle of a sweep on three hosts: it ends with the points of the sweep that nothing disturbed."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cluster.own_cluster import OwnCluster

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(900)]


def test_a_worker_host_loses_its_power_and_comes_back(
    cluster: OwnCluster, space_file: Callable[..., Path], undisturbed: dict[str, Any]
) -> None:
    driver = cluster.sweep(str(space_file("plain")), "--name", "cut", name="cut")
    driver.wait_for_points(2)
    worker, _ = cluster.workers
    worker.cut_power()
    time.sleep(30)
    worker.boot()
    driver.finish()
    assert cluster.points("cut") == undisturbed
