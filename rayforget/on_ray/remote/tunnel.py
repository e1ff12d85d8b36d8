"""A port on a cluster's head -> a port of this machine's loopback, through SSH, opened again whenever it breaks."""

import errno
import shutil
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rayforget.errors import RayforgetError
from rayforget.on_ray.remote.head import Head

_READY = "rayforget-tunnel"
_OPTIONS = {
    "BatchMode": "yes",  # there is nobody to ask: a key with a passphrase belongs into ssh-agent
    "ConnectTimeout": "20",
    # A network that is gone, or a machine that slept, ends the connection after 15 s, so that the next one can be made.
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "ExitOnForwardFailure": "yes",
    # As Ray's launcher: addresses of clusters come back with other keys.
    "StrictHostKeyChecking": "no",
    "UserKnownHostsFile": "/dev/null",
    "LogLevel": "ERROR",
    # A connection of its own, which nothing else can end.
    "ControlMaster": "no",
    "ControlPath": "none",
}
_FIRST_TRY_S = 60.0
"""How long the first connection may take."""
_LONGEST_PAUSE_S = 15.0


class Tunnel:
    """A forwarded port and the thread that keeps it; made by `tunnel`."""

    def __init__(self, head: Head, *, remote: int, local: int, tell: Callable[[str], None]) -> None:
        self.port = local
        """On this machine's loopback."""
        self.opened = 0
        """How often a connection was made."""
        self._head, self._remote, self._tell = head, remote, tell
        self._ssh: subprocess.Popen[str] | None = None
        self._said: deque[str] = deque(maxlen=3)
        self._closed = threading.Event()
        self._up = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"tunnel-{local}", daemon=True)

    @property
    def process(self) -> int | None:
        """The id of the `ssh` at work; None between two."""
        return None if self._ssh is None else self._ssh.pid

    def open(self) -> None:
        """Makes the first connection; raises RayforgetError, with what `ssh` says, if there is none."""
        self._thread.start()
        deadline = time.monotonic() + _FIRST_TRY_S
        while not self._up.wait(0.05):
            if self._ended.is_set() or time.monotonic() > deadline:
                self.close()
                raise RayforgetError(
                    f"no SSH tunnel to {self._head.target}: {self._reason()}; is the cluster up, and does "
                    f"`{self._by_hand()}` open a shell? (A key with a passphrase must be known to ssh-agent.)"
                )

    def close(self) -> None:
        """Ends the connection and the thread."""
        self._closed.set()
        self._end()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _keep(self) -> None:
        pause = 1.0
        while not self._closed.is_set():
            started, before = time.monotonic(), self.opened
            self._connect()
            if self._closed.is_set():
                return
            if not self.opened:
                self._ended.set()
                return
            if self.opened > before:
                self._tell(f"the tunnel to {self._head.target} broke ({self._reason()}); opening it again")
                pause = 1.0
            if time.monotonic() - started < _LONGEST_PAUSE_S:
                self._closed.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _connect(self) -> None:
        """One connection, from its beginning to its end."""
        self._said.clear()
        ssh = subprocess.Popen(
            self._command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # a Ctrl-C is for this process alone
        )
        self._ssh = ssh
        if self._closed.is_set():
            self._end()
        assert ssh.stdout is not None
        with ssh:  # closes the pipes, and waits
            for line in ssh.stdout:
                if line.strip().endswith(_READY):
                    self.opened += 1
                    self._up.set()
                elif line.strip():
                    self._said.append(line.strip())
        self._up.clear()
        self._ssh = None

    def _command(self) -> list[str]:
        ours = [word for name, value in _OPTIONS.items() for word in ("-o", f"{name}={value}")]
        forward = f"127.0.0.1:{self.port}:127.0.0.1:{self._remote}"
        # The other end reads until our end of the pipe closes, which it does however this process ends.
        wait = f"echo {_READY}; exec cat > /dev/null"
        return ["ssh", "-T", *ours, *self._head.options, "-L", forward, self._head.target, wait]

    def _by_hand(self) -> str:
        keys = [self._head.options[i + 1] for i, word in enumerate(self._head.options[:-1]) if word == "-i"]
        return " ".join(["ssh", *(f"-i {key}" for key in keys), self._head.target])

    def _reason(self) -> str:
        silent = "ssh ended without a word" if self.opened or self._ended.is_set() else "no answer"
        return " ".join(self._said) or silent

    def _end(self) -> None:
        if (ssh := self._ssh) is not None:
            with suppress(ProcessLookupError):
                ssh.terminate()


@contextmanager
def tunnel(head: Head, *, remote: int, local: int | None = None, tell: Callable[[str], None]) -> Iterator[Tunnel]:
    """Holds a port of the head's loopback open on this machine's within the block.

    Args:
        head: how SSH reaches it.
        remote: the head's port.
        local: this machine's port; None takes a free one.
        tell: called, from another thread, with a line when the connection breaks.

    Raises:
        RayforgetError: there is no `ssh`, the port is taken, or the head does not let us in.
    """
    if shutil.which("ssh") is None:
        raise RayforgetError("there is no `ssh` on this machine; install OpenSSH's client, or give --address")
    found = Tunnel(head, remote=remote, local=free_port(local or 0), tell=tell)
    found.open()
    try:
        yield found
    finally:
        found.close()


def free_port(wanted: int = 0) -> int:
    """The wanted port of the loopback if it is free, or for 0 any that is; raises RayforgetError if it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError as error:
            what = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be opened ({error.strerror})"
            raise RayforgetError(f"port {wanted} of this machine {what}; give another: --port") from None
        return int(probe.getsockname()[1])
