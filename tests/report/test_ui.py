"""MLflow's server goes with the process that started it, however that one ends."""

import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest

PARENT = """
import subprocess, sys
from rayforget.report.ui import ended_with_us
server = subprocess.Popen(["/bin/sh", "-c", "sleep 300 & sleep 301; true"], start_new_session=True)
with ended_with_us(server):
    print(server.pid, flush=True)
    sys.stdin.readline()
print("still there" if server.poll() is None else "gone", flush=True)
sys.stdin.readline()
"""


def running(pids: set[int]) -> set[int]:
    """Those that are alive; a process that nobody has waited for is dead all the same."""
    alive = {process for pid in pids if psutil.pid_exists(pid) for process in [psutil.Process(pid)]}
    return {process.pid for process in alive if process.status() != psutil.STATUS_ZOMBIE}


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


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
