"""The tunnel, through a real SSH server on loopback: opened again when it breaks, gone when the block ends."""

import os
import pwd
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from rayforget.errors import RayforgetError
from rayforget.on_ray.remote.head import Head
from rayforget.on_ray.remote.tunnel import free_port, tunnel

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin")


class Here(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"the dashboard")

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def dashboard() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Here)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """This machine, as a head with an SSH server of its own."""
    if SSHD is None:
        pytest.skip("needs Debian's openssh-server")
    folder = tmp_path_factory.mktemp("sshd")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    port = free_port()
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nStrictModes no\nUsePAM no\n"
        f"AuthorizedKeysFile {folder}/user.pub\nPasswordAuthentication no\nPermitRootLogin yes\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "config")], stderr=subprocess.DEVNULL)
    wait_for(lambda: b"SSH" in banner(port))
    user = pwd.getpwuid(os.geteuid()).pw_name
    yield Head(target=f"{user}@127.0.0.1", options=("-i", str(folder / "user"), "-p", str(port)))
    server.terminate()
    server.wait()


def banner(port: int) -> bytes:
    import socket

    try:
        with socket.create_connection(("127.0.0.1", port), 1) as one:
            return one.recv(10)
    except OSError:
        return b""


def wait_for(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def says(port: int) -> bytes:
    try:
        with urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return bytes(answer.read())
    except OSError:
        return b""


def test_a_tunnel_that_breaks_is_opened_again_and_nothing_stays(head: Head, dashboard: int) -> None:
    told: list[str] = []
    with tunnel(head, remote=dashboard, tell=told.append) as found:
        assert says(found.port) == b"the dashboard"
        first = found.process
        assert first is not None
        assert not told
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: found.opened == 2 and says(found.port) == b"the dashboard")
        second = found.process
        assert second not in (None, first)
        assert len(told) == 1
        assert "broke" in told[0]
    assert not any(psutil.pid_exists(pid) for pid in (first, second) if pid is not None)
    assert says(found.port) == b""


def test_a_head_that_does_not_let_us_in_is_said_with_what_ssh_says(head: Head, dashboard: int, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    stranger = Head(
        target=head.target, options=("-i", str(tmp_path / "other"), "-o", "IdentitiesOnly=yes", *head.options[2:])
    )
    with (
        pytest.raises(RayforgetError, match="Permission denied"),
        tunnel(stranger, remote=dashboard, tell=lambda line: None),
    ):
        pass


def test_a_port_that_is_taken_is_refused_before_anything_is_opened(dashboard: int) -> None:
    with (
        pytest.raises(RayforgetError, match=f"port {dashboard} of this machine is taken"),
        tunnel(Head(target="nobody@192.0.2.1"), remote=1, local=dashboard, tell=lambda line: None),
    ):
        pass
