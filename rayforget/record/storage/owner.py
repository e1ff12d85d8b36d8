"""This process -> an identity by which the same machine can tell, even after a reboot, whether it still lives."""

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
    """The machine's name, for people."""
    machine: str
    """The machine since its last boot, and the container in which `pid` is valid."""
    pid: int
    started: str
    """When the process started, by the machine's own count, since dead processes' numbers are reused."""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def this_process() -> Owner:
    """The identity of the calling process."""
    return Owner(host=socket.gethostname(), machine=_machine(), pid=os.getpid(), started=_started(os.getpid()) or "")


def lives(owner: Owner) -> bool | None:
    """Whether the process lives; None if only its own machine, or container, could tell."""
    if owner.machine != _machine():
        return None
    return _started(owner.pid) == owner.started


def _machine() -> str:
    if sys.platform == "linux":
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return _output("sysctl", "-n", "kern.bootsessionuuid")


def _started(pid: int) -> str | None:
    """When the process started; None if there is no such process, or only a dead one not yet reaped."""
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
