"""Ray's own texts: one line for people, all of it in a file, and nothing printed."""

import logging
import re
import stat
from pathlib import Path

import pytest

from rayforget.on_ray.ray_messages import Messages, in_a_line, in_our_words

DEAD = (
    "The node with node id: f912a0c2 and address: 10.77.0.3 and node name: 10.77.0.3 has been marked dead because the "
    "detector has missed too many heartbeats from it. This can happen when a \t(1) raylet crashes unexpectedly (OOM, "
    "etc.) \n\t(2) raylet has lagging heartbeats due to slow network or busy workload."
)
KILLED = (
    "A worker died or was killed while executing a task by an unexpected system error. To troubleshoot the problem, "
    "check the logs for the dead worker. Lease ID: a1 Worker ID: e6 Node ID: c6 Worker IP address: 10.77.0.4 Worker "
    "port: 15023 Worker PID: 883 Worker exit type: SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits with a "
    "connection error code 2. End of file. Some common causes include: (1) the process was killed by the OOM killer"
)
MANY = "WARNING: 4 PYTHON worker processes have been started on node: cffa with address: 10.77.0.2, which is 4x the"
BACK = (
    "Raylet is terminated. Termination is unexpected. Possible reasons include: (1) SIGKILL by the user or system OOM"
)
MEMORY = "1 Workers (tasks / actors) killed due to memory pressure (OOM), 0 Workers crashed"


def test_each_is_one_line_of_ours() -> None:
    assert in_a_line(DEAD) == "node 10.77.0.3 does not answer and counts as dead: what it trained goes on elsewhere"
    assert in_a_line(KILLED) == "a process on node 10.77.0.4 died: what it did is done again"
    assert in_a_line(MEMORY) == "a node ran out of memory and ended a process"
    assert in_a_line(BACK) == "Ray ended on a node: one that counted as dead does so when it is back"
    assert in_a_line(MANY) == ""
    assert in_a_line("\n  Something new.\nand more") == "Ray says: Something new."
    assert len(in_a_line("x" * 1000)) < 200


def test_nothing_of_rays_is_printed_and_all_of_it_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    from ray._private import worker

    told: list[str] = []
    before = (logging.getLogger("ray").handlers[:], worker.print_to_stdstream)
    assert "print_to_stdstream" in worker.listen_error_messages.__code__.co_names  # through which raylets speak
    with in_our_words(Messages(told.append)):
        worker.print_to_stdstream({"lines": [MANY], "pid": "raylet", "is_err": False}, ignore_prefix=False)
        worker.print_to_stdstream({"lines": [KILLED], "pid": "raylet", "is_err": False}, ignore_prefix=False)
        try:
            raise RuntimeError("deep inside")
        except RuntimeError:
            logging.getLogger("ray.tune.execution.tune_controller").exception("Trial task failed for trial a2cf")
        worker.print_to_stdstream({"lines": [KILLED], "pid": "raylet", "is_err": False}, ignore_prefix=False)
    assert (logging.getLogger("ray").handlers[:], worker.print_to_stdstream) == before
    assert capfd.readouterr() == ("", "")
    first, second = told  # the same once more within a minute is not told
    found = re.fullmatch(
        r"a process on node 10\.77\.0\.4 died: what it did is done again \(what Ray says: (\S+)\)", first
    )
    assert found
    assert second == "a slot's own process died: the slot is started again"
    path = Path(found[1])
    text = path.read_text()
    assert [text.count(each) for each in (MANY, KILLED, "deep inside")] == [1, 2, 2]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.unlink()
