"""One sweep on three hosts goes through one fault after another, and ends with the points of an undisturbed one.

The storage answers every third request with 503 all the time, and MLflow is dead when it begins. Trainings take their
time, so that each fault meets some; a training saves its state only if it is told to go.
"""

import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from cluster.hosts import command_of, titled, wait_until
from cluster.own_cluster import BUCKET, Driver, OwnCluster
from cluster.undisturbed import undisturbed

from rayforget.record.sweep import Sweep

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(600)]

TRAININGS = 64
"""More than the faults leave time for: those that are left at the end are not made to last."""
STEP_S = 0.8
"""Of 20 steps in a training."""
SELDOM_S = 1000
OF_A_HOST = re.compile(r"host_init\.sh|sshd|^sleep 0\.2$")
KINDS = (
    ("RayTrainWorker",),
    ("TrainController",),
    ("SlotTrainable", "ResourceTrainable"),
    ("Mailbox",),
    ("ThetaKeeper",),
)
"""What a slot consists of, and what slots share, by the titles of their processes."""


@dataclass(kw_only=True)
class LongSweep:
    """The sweep that all faults hit."""

    cluster: OwnCluster
    space_file: Path
    driver: Driver
    refused_until: float = 0.0
    """Until when the storage drops every connection, by the monotonic clock."""
    hangs_until: float = 0.0
    """Until when it answers nobody."""
    overloaded: int = 0
    """Number of requests that were answered with 503."""
    logs: list[Path] = field(default_factory=list)

    def answer(self, number: int) -> int | None:
        """The storage's rule."""
        if time.monotonic() < self.refused_until:
            return 0
        time.sleep(max(self.hangs_until - time.monotonic(), 0))
        if number % 3 == 0:
            self.overloaded += 1
            return 503
        return None

    def goes_on(self, checkpoints: int = 1) -> None:
        """Waits until that many checkpoints more are recorded."""
        self.driver.wait_for_points(self.driver.recorded() + checkpoints)

    def resume(self) -> None:
        """Starts a driver for it where none is."""
        faults = self.driver.faults
        self.driver = self.cluster.sweep("--resume", "long", "--storage", BUCKET, name="long")
        self.driver.faults += faults
        self.logs.append(self.driver.log)

    @property
    def said(self) -> str:
        """What all its drivers said."""
        return "".join(log.read_text(errors="replace") for log in self.logs)


@pytest.fixture(scope="module")
def long(cluster: OwnCluster, space_file: Callable[..., Path]) -> Iterator[LongSweep]:
    cluster.pace.write_text(str(STEP_S))
    cluster.head.run("pkill -STOP -f '[m]lflow.sh'; pkill -KILL -f '[m]lflow server'; true")
    file = space_file(
        "long",
        search={"trainings": TRAININGS, "seed": 0, "sampler": "random"},
        resources={"slots": 2, "cpus_per_worker": 1, "checkpoint_every_s": SELDOM_S},
        tracking={"enabled": True},
    )
    driver = cluster.sweep(str(file), "--name", "long", name="long")
    found = LongSweep(cluster=cluster, space_file=file, driver=driver, logs=[driver.log])
    with cluster.door_rule(found.answer):
        yield found
    cluster.kill_driver()


def test_it_begins_without_mlflow_on_an_overloaded_storage(long: LongSweep) -> None:
    long.goes_on(3)
    assert long.overloaded > 10


@pytest.mark.parametrize("titles", KINDS, ids=lambda titles: titles[0])
def test_a_process_of_a_slot_is_killed(long: LongSweep, titles: tuple[str, ...]) -> None:
    def living() -> list[psutil.Process]:
        return [process for host in (long.cluster.head, *long.cluster.workers) for process in titled(host, titles)]

    wait_until(living, 120, f"a {titles[0]}")
    long.driver.note(f"a {titles[0]} killed")
    living()[0].kill()
    long.goes_on()


def test_the_storage_refuses_for_half_a_minute(long: LongSweep) -> None:
    long.driver.note("S3 refuses for 30 s")
    long.refused_until = time.monotonic() + 30
    time.sleep(30)
    long.goes_on()
    hosts = (long.cluster.head, *long.cluster.workers)
    logs = [log for host in hosts for log in (host.disk / "tmp" / "ray").glob("session_*/logs/worker-*")]
    told = long.said + "".join(log.read_text(errors="replace") for log in logs)  # by who had to wait: a worker, mostly
    assert "trying again for up to 600 s" in told
    assert "the storage answers again" in told
    wait_until(lambda: long.cluster.gauges().get("trainingsdone", 0) > 0, 60, "the gauge of trainings")


def test_the_storage_answers_nobody_for_a_minute(long: LongSweep) -> None:
    long.driver.note("S3 hangs for 60 s")
    long.hangs_until = time.monotonic() + 60
    time.sleep(60)
    long.goes_on()


def test_mlflow_comes_and_is_killed(long: LongSweep) -> None:
    head = long.cluster.head
    head.run("pkill -CONT -f '[m]lflow.sh'")
    wait_until(lambda: "OK" in head.run("curl -s localhost:5000/health", check=False), 120, "MLflow")
    long.driver.note("MLflow killed")
    head.run("pkill -KILL -f '[m]lflow server'; true")
    long.goes_on()


def test_a_host_loses_its_power_for_half_a_minute(long: LongSweep) -> None:
    host, _ = long.cluster.workers
    long.driver.note("a host's power cut for 30 s")
    host.cut_power()
    time.sleep(30)
    host.boot()
    long.cluster.join(host)
    assert f"node {host.address} does not answer" in long.said
    long.goes_on()


def test_the_link_of_the_other_is_down_for_90_s(long: LongSweep) -> None:
    """Of which Ray calls 35 a death."""
    _, host = long.cluster.workers
    long.driver.note("a host's link down for 90 s")
    host.link(up=False)
    time.sleep(90)
    host.link(up=True)
    long.cluster.join(host)
    long.goes_on()


def test_a_spot_host_is_taken_away_with_15_s_notice(long: LongSweep) -> None:
    """Nothing but the notice makes a training save, so that what goes on from a step was saved by it."""
    cluster = long.cluster
    host, _ = cluster.workers
    wait_until(lambda: titled(host, ("RayTrainWorker",)), 120, f"a worker on {host.name}")
    long.goes_on(2)
    long.driver.note("a spot host's notice of 15 s")
    cluster.notices[host.address] = time.time() + 15
    time.sleep(15)
    host.cut_power()
    assert "drained: this machine goes in" in (host.disk / "root" / "spot_notice.log").read_text()
    del cluster.notices[host.address]
    host.boot()
    cluster.join(host)

    def went_on() -> bool:
        return any(record.facts.get("resumed_from") for record in Sweep.open(cluster.storage, "long").records())

    wait_until(went_on, 120, "a training that went on")


def test_the_driver_is_killed_three_times_and_resumed(long: LongSweep) -> None:
    moments = random.Random(0)
    for _ in range(3):
        time.sleep(moments.uniform(0, 8))
        long.driver.note("the driver killed")
        long.cluster.kill_driver()
        long.driver.process.wait(30)
        long.resume()
        long.goes_on(2)


def test_it_ends_with_the_points_of_an_undisturbed_one(long: LongSweep, tmp_path: Path) -> None:
    assert long.driver.recorded() < 2 * TRAININGS, "it had ended before the last fault: raise TRAININGS"
    long.cluster.pace.unlink()
    long.driver.finish()
    assert long.cluster.points("long") == undisturbed(long.space_file, tmp_path)
    assert "Traceback" not in long.said
    assert "(raylet)" not in long.said
    said = long.cluster.head.run(f". ~/rayforget-env.sh; rayforget mirror long --storage {BUCKET}")
    assert re.search("http://127.0.0.1:5000/#/experiments", said)


def test_a_rank_of_a_training_on_two_hosts_is_killed(
    cluster: OwnCluster, space_file: Callable[..., Path], tmp_path: Path
) -> None:
    cluster.pace.write_text(str(STEP_S))
    two = {"slots": 1, "workers_per_slot": 2, "cpus_per_worker": 1, "checkpoint_every_s": 0.5}
    file = space_file("two", resources=two, search={"trainings": 2, "seed": 0, "sampler": "random"})
    driver = cluster.sweep(str(file), "--name", "two", name="two")
    driver.wait_for_points(5)  # theta_0 and the two plain ones: now a paced one trains

    def has_saved() -> bool:
        states = cluster.storage.within("two/resume")
        return any(states.json_files(trial) for trial in states.folders() if trial.endswith("-paced"))

    wait_until(has_saved, 120, "a saved state of a paced training")
    rank, *others = titled(cluster.workers[1], ("RayTrainWorker",))
    assert not others
    driver.note("a rank killed")
    rank.kill()
    driver.wait_for_points(6)
    cluster.pace.unlink()
    driver.finish()
    assert cluster.points("two") == undisturbed(file, tmp_path)
    assert [record for record in Sweep.open(cluster.storage, "two").records() if record.facts.get("resumed_from")]


def test_ray_down_leaves_nothing_on_any_host(cluster: OwnCluster) -> None:
    """The last of all: no other test has this cluster after it."""
    cluster.down()

    def left() -> list[str]:
        """All that runs but what makes a host one: its process 1, and sshd."""
        hosts = (cluster.head, *cluster.workers)
        found = [(host.name, command_of(process)) for host in hosts for process in host.processes()]
        return [f"{name}: {command}" for name, command in found if command and not OF_A_HOST.search(command)]

    try:
        took = wait_until(lambda: not left(), 240, "an end of all")
    except AssertionError as error:
        raise AssertionError(f"{error}: {left()}") from None
    print(f"ray down: nothing is left after {took:.0f} s")
