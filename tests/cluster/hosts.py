"""Hosts on one machine: each has its own network, processes, mounts and name, an sshd, and a place on a bridge.

It takes root, Linux, and the Debian packages iproute2, openssh-server and rsync. The machine itself stands on the
bridge too, so that a server in this process can be asked by all hosts. Hosts end with this process, whatever ends it.
"""

import fcntl
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

NEEDED = {
    "ip": "iproute2",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "rsync": "rsync",
    "setpriv": "util-linux",
}
LOCK = Path("/var/tmp/rf-hosts.lock")
MACHINE = "10.77.0.1"
"""This machine's address on the bridge."""
ROOT = Path(__file__).resolve().parents[2]
SHARED = tuple(str(Path(folder).resolve()) for folder in (sys.base_prefix, sys.prefix, ROOT))
"""What every host sees of this machine's home and /tmp: Python, its packages, the checkout."""
_INIT = Path(__file__).with_name("host_init.sh")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SWITCH = "rf-switch"
_CABLE = "rf-machine"
_TRY = "rf-try"


def lacking() -> str:
    """Why no hosts can be made here; empty if they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "hosts are Linux namespaces, which takes root"
    missing = sorted({package for name, package in NEEDED.items() if shutil.which(name, path=_PATH) is None})
    if missing:
        return f"hosts need Debian's {', '.join(missing)}"
    own = "unshare --pid --fork --mount --uts --net --mount-proc sh -c"
    tries = (
        [*own.split(), "ip link add try0 type bridge && ip link add try1 type veth peer name try2"],
        ["sh", "-c", f"ip netns add {_TRY} && ip netns del {_TRY}"],
    )
    for words in tries:
        tried = subprocess.run(words, capture_output=True, text=True, check=False)
        if tried.returncode:
            return f"this machine makes no hosts of namespaces: {tried.stderr.strip()}"
    return ""


@dataclass(kw_only=True)
class Host:
    """One host; its disk (home and /tmp) outlives a power cut."""

    name: str
    address: str
    disk: Path
    network: "Network"
    _outer: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def boot(self) -> None:
        """Starts it and waits for its sshd."""
        self.link(up=True)
        self.disk.mkdir(parents=True, exist_ok=True)
        with (self.disk / "boot.log").open("ab") as log:
            own = (
                "setpriv --pdeathsig KILL ip netns exec {} unshare --pid --fork --kill-child --mount --uts --mount-proc"
            )
            words = [*own.format(self.namespace).split(), "bash", str(_INIT), self.name, str(self.disk)]
            self._outer = subprocess.Popen(
                [*words, str(self.network.names), *SHARED],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(lambda: self._listens(), 20, f"sshd of {self.name}")

    @property
    def namespace(self) -> str:
        """Its network's name."""
        return f"rf-{self.name}"

    def run(self, command: str, *, timeout_s: float = 120, check: bool = True) -> str:
        """What a shell command says there; it has the environment of a login and nothing of this process's.

        Its output goes through a file: what it leaves running in the background would hold a pipe open.
        """
        with tempfile.TemporaryFile() as out:
            code = subprocess.run(
                self._words(command), stdout=out, stderr=out, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL
            ).returncode
            out.seek(0)
            said = out.read().decode(errors="replace")
        assert not check or code == 0, f"{self.name}: {command}\n{said}"
        return said

    def start(self, command: str, log: Path) -> subprocess.Popen[bytes]:
        """Runs a shell command there in the background; its output goes to a file here."""
        with log.open("wb") as out:
            return subprocess.Popen(
                self._words(command), stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def processes(self) -> list[psutil.Process]:
        """All of its processes, process 1 and what this machine started there among them."""
        first = self._first()
        if first is None:
            return []
        own = _pid_namespace(first.pid)
        return [process for process in psutil.process_iter() if _pid_namespace(process.pid) == own]

    def open_ports(self, kind: str = "-t") -> set[int]:
        """Ports that listen beyond loopback, over IPv4 or IPv6; `-t` for TCP, `-u` for UDP."""
        places = [line.split()[3].rpartition(":") for line in self.run(f"ss -Hln {kind}").splitlines()]
        return {int(port) for place, _, port in places if not place.startswith(("127.", "[::1]"))}

    def link(self, *, up: bool) -> None:
        """Plugs or unplugs its cable; nobody is told."""
        ip(f"-n {_SWITCH} link set v-{self.name} {'up' if up else 'down'}")

    def cut_power(self) -> None:
        """Ends it without a word to anybody: the cable goes first."""
        self.link(up=False)
        for process in (self._first(), psutil.Process(self._outer.pid) if self._outer else None):
            if process is not None:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        if self._outer is not None:
            self._outer.wait()
        self._outer = None

    def _words(self, command: str) -> list[str]:
        first = self._first()
        assert first is not None, f"{self.name} is off"
        environment = {"HOME": "/root", "USER": "root", "TERM": "dumb", "SHELL": "/bin/bash", "PATH": _PATH}
        inner = ["env", "-i", *(f"{name}={value}" for name, value in environment.items())]
        return ["nsenter", "-t", str(first.pid), "-m", "-p", "-n", "-u", *inner, "bash", "-c", f"cd; {command}"]

    def _first(self) -> psutil.Process | None:
        if self._outer is None or self._outer.poll() is not None:
            return None
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self._outer.pid).children():
                return child
        return None

    def _listens(self) -> bool:
        with suppress(AssertionError, subprocess.TimeoutExpired):
            self.run("exec 3<>/dev/tcp/127.0.0.1/22", timeout_s=5)
            return True
        return False


@dataclass(frozen=True, kw_only=True)
class Network:
    """The bridge and the hosts on it."""

    folder: Path
    hosts: dict[str, Host]

    @property
    def names(self) -> Path:
        """Everybody's /etc/hosts."""
        return self.folder / "hosts"


@contextmanager
def network(names: tuple[str, ...], folder: Path) -> Iterator[Network]:
    """Makes the hosts and their cables; none is booted yet. One process of a machine at a time has hosts.

    Args:
        folder: for the hosts' disks; not below /tmp or /root, which every host replaces by its own.
    """
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove()
        folder.mkdir(parents=True, exist_ok=True)
        found = Network(folder=folder, hosts={})
        try:
            _wire(found, names)
            yield found
        finally:
            for host in found.hosts.values():
                with suppress(Exception):
                    host.cut_power()
            remove()


def _wire(found: Network, names: tuple[str, ...]) -> None:
    ip(f"netns add {_SWITCH}")
    ip(f"-n {_SWITCH} link add br0 type bridge")
    ip(f"-n {_SWITCH} link set br0 up")
    ip(f"link add {_CABLE} type veth peer name v-machine netns {_SWITCH}")
    ip(f"-n {_SWITCH} link set v-machine master br0 up")
    ip(f"addr add {MACHINE}/24 dev {_CABLE}")
    ip(f"link set {_CABLE} up")
    for number, name in enumerate(names, start=2):
        host = Host(name=name, address=f"10.77.0.{number}", disk=found.folder / name, network=found)
        found.hosts[name] = host
        ip(f"netns add {host.namespace}")
        ip(f"link add v-{name} netns {_SWITCH} type veth peer name eth0 netns {host.namespace}")
        ip(f"-n {_SWITCH} link set v-{name} master br0 up")
        ip(f"-n {host.namespace} link set lo up")
        ip(f"-n {host.namespace} link set eth0 up")
        ip(f"-n {host.namespace} addr add {host.address}/24 dev eth0")
        ip(f"-n {host.namespace} route add default via 10.77.0.254")  # nobody: Ray finds its address by the route
    lines = [
        "127.0.0.1 localhost",
        f"{MACHINE} machine",
        *(f"{host.address} {name}" for name, host in found.hosts.items()),
    ]
    found.names.write_text("".join(f"{line}\n" for line in lines))


def remove() -> None:
    """Takes away all hosts, those of a run before that was killed among them."""
    listed = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=False).stdout
    names = [line.split()[0] for line in listed.splitlines() if line.startswith("rf-")]
    for words in (*(f"netns del {name}" for name in names), f"link del {_CABLE}"):
        with suppress(AssertionError):
            ip(words)


def page(address: str, port: int, path: str) -> str:
    """The text that is served there with status 200; empty if none is."""
    connection = http.client.HTTPConnection(address, port, timeout=3)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status == 200:
            return answer.read().decode(errors="replace") or "(empty)"
    return ""


def titled(host: Host, titles: tuple[str, ...]) -> list[psutil.Process]:
    """Its processes of Ray's actors of these classes."""
    starts = tuple(f"ray::{title}" for title in titles)
    return [process for process in host.processes() if command_of(process).startswith(starts)]


def command_of(process: psutil.Process) -> str:
    """Its command line; empty of a process that has just ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _pid_namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def ip(words: str) -> None:
    done = subprocess.run(["ip", *words.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {words}: {done.stderr}"


def wait_until(condition: Any, timeout_s: float, what: str) -> float:
    """Seconds until the condition held.

    Raises:
        AssertionError: it never did.
    """
    start = time.monotonic()
    while time.monotonic() - start < timeout_s:
        if condition():
            return time.monotonic() - start
        time.sleep(0.1)
    raise AssertionError(f"{what}: not in {timeout_s:g} s")
