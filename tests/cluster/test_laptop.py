"""A laptop and its own tunnel: a sweep is submitted, followed over a break, left, stopped, and gone on with."""

import re
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from cluster.hosts import wait_until
from cluster.own_cluster import BUCKET, OwnCluster

from rayforget.record.standing import is_finished
from rayforget.record.sweep import Sweep

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(900)]

TRAININGS = 14
STEP_S = 0.4
"""Of 20 steps in a training."""


class Typed:
    """A command that somebody typed on the laptop."""

    def __init__(self, cluster: OwnCluster, words: str) -> None:
        self._words = words
        self.log = cluster.folder / f"typed-{words.split()[0]}-{len(list(cluster.folder.glob('typed-*')))}.log"
        self.process: subprocess.Popen[bytes] = cluster.laptop.start(
            f"cd {cluster.folder}; export PATH=~/venv/bin:$PATH PYTHONPATH=$PWD/site; exec rayforget {words}",
            self.log,
        )

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, text: str, timeout_s: float = 240) -> None:
        def is_there() -> bool:
            assert text in self.said or self.process.poll() is None, self.said
            return text in self.said

        try:
            wait_until(is_there, timeout_s, f"{text!r} of {self._words}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said}") from None

    def processes(self) -> list[psutil.Process]:
        """What it consists of, with what it started."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children(recursive=True)
        return []

    @property
    def tunnels(self) -> list[psutil.Process]:
        """Its processes that forward a port."""
        return [each for each in self.processes() if each.name() == "ssh" and "-L" in each.cmdline()]

    def interrupt(self) -> None:
        """Ctrl-C."""
        (command,) = (each for each in self.processes() if any(word.endswith("/rayforget") for word in each.cmdline()))
        command.send_signal(signal.SIGINT)

    def ends(self, code: int, timeout_s: float = 600) -> str:
        found = self.process.wait(timeout_s)
        assert found == code, f"exit code {found} of {self._words}:\n{self.said}"
        return self.said


def ended(cluster: OwnCluster, name: str) -> set[str]:
    trials: dict[str, list[object]] = {}
    for record in Sweep.open(cluster.storage, name).briefs():
        trials.setdefault(record.trial, []).append(record)
    return {trial for trial, records in trials.items() if is_finished(records)}  # type: ignore[arg-type]


def test_a_sweep_is_run_from_a_laptop_that_loses_its_way(cluster: OwnCluster, space_file: Callable[..., Path]) -> None:
    cluster.pace.write_text(str(STEP_S))
    space = space_file("way", search={"trainings": TRAININGS, "seed": 0, "sampler": "random"}, tracking={})
    there = "--cluster cluster.yaml"

    submitted = Typed(cluster, f"submit {space.name} --name way --paths-on-cluster {there}")
    submitted.wait_for("0000-plain done")
    (tunnel,) = submitted.tunnels
    before = submitted.said.count(" done")
    tunnel.kill()
    submitted.wait_for("opening it again")
    wait_until(lambda: submitted.said.count(" done") > before, 300, "output after the break")
    assert submitted.said.count("0000-plain done") == 1
    (second,) = submitted.tunnels
    submitted.interrupt()
    said = submitted.ends(130)
    assert f"rayforget attach way {there}" in said
    assert not psutil.wait_procs([tunnel, second], timeout=5)[1]

    attached = Typed(cluster, f"attach way {there}")
    stopped = Typed(cluster, f"stop way {there}").ends(0)
    resume = f"submit --resume way {there} --storage {BUCKET}"
    assert f"stopped; go on with: rayforget {resume}" in stopped
    said = attached.ends(130)
    assert said.count("0000-plain done") == 1
    assert f"interrupted; go on with: rayforget {resume}" in said
    left = ended(cluster, "way")
    assert 1 <= len(left - {"theta_0"}) < TRAININGS + 2, left

    cluster.pace.unlink()
    resumed = Typed(cluster, resume).ends(0)
    assert "Recovered on test" in resumed
    assert f"rayforget ui way {there}" in resumed
    assert len(ended(cluster, "way") - {"theta_0"}) == TRAININGS + 2
    last = sorted(ended(cluster, "way") - left)[-1]
    worker = Typed(cluster, f"logs way {last} {there}").ends(0)
    assert re.search(rf"^— worker \d+ on node .*\n(.*\n)*.*\[rayforget\] begins {last}, attempt 1", worker), worker

    looking = Typed(cluster, f"ui way {there}")
    looking.wait_for("points of way as charts: http://127.0.0.1:5000/#/experiments/")
    answer = cluster.laptop.run(
        "exec 3<>/dev/tcp/127.0.0.1/5000; printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3; head -1 <&3"
    )
    assert "200" in answer
    (third,) = looking.tunnels
    looking.interrupt()
    looking.ends(0)
    assert not psutil.wait_procs([third], timeout=5)[1]
