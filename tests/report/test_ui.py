"""MLflow's server ends with the process that started it, however that one ends."""

import inspect
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from io import StringIO
from pathlib import Path

import psutil
import pytest
from rich.console import Console
from toy_agenda import toy_agenda

from rayforget.cli import looking
from rayforget.record.command import PROGRAM, WAY
from rayforget.report.mlflow.tracking import MirrorError, Tracking
from rayforget.report.mlflow.ui import DEFAULT_PORT, run_ui, where_to_look

PARENT = """
import subprocess, sys
from rayforget.report.mlflow.ui import ended_with_us
server = subprocess.Popen(["/bin/sh", "-c", "sleep 300 & sleep 301; true"], start_new_session=True)
with ended_with_us(server):
    print(server.pid, flush=True)
    sys.stdin.readline()
print("still there" if server.poll() is None else "gone", flush=True)
sys.stdin.readline()
"""


def running(pids: set[int]) -> set[int]:
    """The living ones; a process that is not yet reaped counts as dead."""
    alive = set()
    for pid in pids:
        with suppress(psutil.NoSuchProcess):  # it may end at any moment
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                alive.add(pid)
    return alive


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_port_that_another_server_has_is_refused_before_it_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://x")
    said = StringIO()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(MirrorError, match=rf"^port {port} is taken; give another: --port$"):
            run_ui((agenda := toy_agenda(tmp_path)).sweep, agenda.space, port, Console(file=said))
    assert said.getvalue() == ""


def test_the_port_that_links_name_is_the_commands_own() -> None:
    assert inspect.signature(looking.ui).parameters["port"].default == DEFAULT_PORT


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("sqlite:////s/mlflow.db", "at http://127.0.0.1:5000/#/x while this runs: rayforget ui s"),
        ("http://me:secret@server:80/", "at http://server:80/#/x"),
    ],
)
def test_a_user_is_told_where_the_charts_are(tmp_path: Path, uri: str, told: str) -> None:
    space = toy_agenda(tmp_path).space
    lines = where_to_look("s", space, Tracking(uri=uri, artifacts=None), "/#/x")
    assert lines == [
        f"shows its points as charts {told}" + (f" --storage {space.storage.path}" if uri.startswith("sqlite") else "")
    ]


@pytest.mark.parametrize(
    ("way", "there"), [("--cluster c.yaml", "--cluster c.yaml"), ("--address http://localhost:8265", "--cluster FILE")]
)
def test_who_submitted_a_job_is_not_sent_to_the_loopback_of_the_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, there: str
) -> None:
    space = toy_agenda(tmp_path).space
    monkeypatch.setenv(WAY, way)
    monkeypatch.setenv(PROGRAM, "rayforget")
    (line,) = where_to_look("s", space, Tracking(uri="http://127.0.0.1:5000", artifacts=None), "/#/x")
    assert line.endswith(f": rayforget ui s {there}")
    (line,) = where_to_look("s", space, Tracking(uri="http://far:5000", artifacts=None), "/#/x")
    assert line.endswith(" at http://far:5000/#/x")


@pytest.mark.slow
def test_a_store_that_mlflow_cannot_open_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://x")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(MirrorError, match=r"^MLflow at nonsense://x failed \(.*$"):
        run_ui((agenda := toy_agenda(tmp_path)).sweep, agenda.space, port, Console(file=StringIO()))


@pytest.mark.slow
def test_a_killed_parent_leaves_neither_the_server_nor_what_it_started() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    server = psutil.Process(int(parent.stdout.readline()))
    wait_for(lambda: len(server.children()) == 2)
    started = {server.pid, *(child.pid for child in server.children())}
    guards = {child.pid for child in psutil.Process(parent.pid).children()} - started
    parent.kill()
    parent.wait()
    wait_for(lambda: not running(started | guards))


@pytest.mark.slow
def test_a_parent_that_goes_on_ends_the_guard_and_not_the_server() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
    assert parent.stdin is not None
    assert parent.stdout is not None
    server = int(parent.stdout.readline())
    parent.stdin.write("\n")
    parent.stdin.flush()
    assert parent.stdout.readline() == "still there\n"
    assert {child.pid for child in psutil.Process(parent.pid).children()} == {server}
    for process in (*psutil.Process(server).children(), psutil.Process(server)):
        process.kill()
    parent.communicate("\n")
