"""This process -> an identity that tells on the same machine, also after a reboot, whether it still lives."""

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process of some machine."""

    host: str
    """For people."""
    machine: str
    """The machine since its last start, and the container within which `pid` counts."""
    pid: int
    started: str
    """When the process started, in the machine's own count: numbers of dead processes are given out again."""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def this_process() -> Owner:
    """The identity of the process that asks."""
    return Owner(host=socket.gethostname(), machine=_machine(), pid=os.getpid(), started=_started(os.getpid()) or "")


def lives(owner: Owner) -> bool | None:
    """Whether the process is there; None where only its own machine, or container, could tell."""
    if owner.machine != _machine():
        return None
    return _started(owner.pid) == owner.started


def _machine() -> str:
    if sys.platform == "linux":
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return _output("sysctl", "-n", "kern.bootsessionuuid")


def _started(pid: int) -> str | None:
    """None where there is no such process, or it is dead and nobody has asked for its exit code yet."""
    if sys.platform != "linux":
        return _output("ps", "-o", "lstart=", "-p", str(pid)) or None
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    return None if fields[0] in "ZXx" else fields[19]


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
