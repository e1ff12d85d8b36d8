"""A sweep's MLflow store -> MLflow's own UI on it, in the foreground, gone without a trace when stopped."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rich.console import Console

from rayforget.errors import RecordError
from rayforget.printable import one_line
from rayforget.record.command import command, program, users_way
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report.mlflow.mirror import find_link
from rayforget.report.mlflow.tracking import MirrorError, Tracking, find_tracking

if TYPE_CHECKING:
    from rayforget.space.models import Space

DEFAULT_PORT = 5000
"""Where the UI is served unless another port is asked for."""
_PATIENCE_S = 10.0
"""How long the server may take to stop before it is killed."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Stopped(Exception):  # noqa: N818
    """A signal asked this process to end."""


def run_ui(sweep: Sweep, space: "Space", port: int, console: Console) -> int:
    """Serves the store on loopback until a signal comes; if the store is a server already, prints its address.

    Returns:
        0 if stopped by Ctrl-C, else MLflow's own exit code.

    Raises:
        RecordError: nothing is mirrored yet.
        MirrorError: see `find_tracking`; or MLflow cannot open the store, or the port is taken.
    """
    storage, name = Store.open(space.storage.path), sweep.info.name
    tracking = find_tracking(space.tracking.uri, storage)
    uri = tracking.uri
    database = Path(uri.removeprefix("sqlite:///"))
    mirror = command(f"mirror {name}", storage)
    if uri.startswith("sqlite:///") and not database.is_file():
        raise RecordError(f"nothing is mirrored in {storage} yet ({database} is missing); run: {mirror}")
    if not is_server(tracking):
        _check_port(port)
    link = find_link(tracking, space_name=space.name, identity=sweep.first_name, created=sweep.info.created)
    address = tracking.name.rstrip("/") if is_server(tracking) else f"http://127.0.0.1:{port}"
    place = f"its points as charts: {address}{link}"
    if link is None:
        place = f"experiment {space.name} does not hold the sweep yet; when it has points: {mirror}"
    if is_server(tracking):
        _say(console, [f"the sweep's MLflow is a server already: {address}", place])
        return 0
    _say(console, [f"MLflow on {tracking.name} starts at {address}  (Ctrl-C ends it)"])
    return _serve(uri, port, on_answer=lambda: _say(console, [place]))


def where_to_look(name: str, space: "Space", tracking: Tracking, link: str | None) -> list[str]:
    """What a user is told once a sweep is mirrored: the charts' address, and the command that serves it.

    Args:
        name: the sweep's.
        space: its space.
        tracking: the store.
        link: `Mirrored.link`.
    """
    if (way := users_way()) is not None and is_server(tracking) and _is_loopback(tracking):
        there = way if way.startswith("--cluster ") else "--cluster FILE"
        return [f"shows its points as charts, through a tunnel of this command's: {program()} ui {name} {there}"]
    if is_server(tracking):
        return [] if link is None else [f"shows its points as charts at {tracking.name.rstrip('/')}{link}"]
    show = command(f"ui {name}", space.storage.path)
    if link is None:
        return [f"is shown by: {show}"]
    return [f"shows its points as charts at http://127.0.0.1:{DEFAULT_PORT}{link} while this runs: {show}"]


def is_server(tracking: Tracking) -> bool:
    """Whether the store is reached through a server of MLflow's, which shows it."""
    return tracking.uri.startswith(("http://", "https://"))


def _is_loopback(tracking: Tracking) -> bool:
    return urlsplit(tracking.uri).hostname in ("127.0.0.1", "localhost", "::1")


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: a port just closed is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            what = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be opened ({error.strerror})"
            raise MirrorError(f"port {port} {what}; give another: --port") from error


def _serve(uri: str, port: int, *, on_answer: Callable[[], None]) -> int:
    """Serves until a signal comes; calls `on_answer` once somebody can follow a link to it."""
    arguments = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment = {**quiet, **os.environ, "MLFLOW_BACKEND_STORE_URI": uri}
    with _signals_raise():
        # A session of its own: the server starts processes, which all end together.
        server = subprocess.Popen(arguments, env=environment, start_new_session=True)
        try:
            with ended_with_us(server):
                while server.poll() is None and not _listens(port):
                    time.sleep(0.1)
                if server.poll() is None:
                    on_answer()
                return server.wait()
        except _Stopped:
            return 0
        finally:
            _end(server)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def ended_with_us(server: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Ensures that the server ends even if this process is killed (SIGKILL).

    A shell waits for the end of a pipe that only this process holds open; that works on macOS too, and for all that the
    server started, unlike Linux's PR_SET_PDEATHSIG.
    """
    script = f"read -r _; kill -TERM -{server.pid}; sleep 5; kill -KILL -{server.pid}"
    nowhere = subprocess.DEVNULL
    guard = subprocess.Popen(
        ["/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere, start_new_session=True
    )
    try:
        yield
    finally:
        guard.kill()  # before the pipe is closed: from here on we end the server
        guard.communicate()


def _end(server: "subprocess.Popen[bytes]") -> None:
    """Ends the server and all processes that it started."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    _signal_group(server, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        server.wait(_PATIENCE_S)
    _signal_group(server, signal.SIGKILL)
    server.wait()


def _signal_group(server: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # all of them have ended
        os.killpg(server.pid, number)


@contextmanager
def _signals_raise() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise _Stopped

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(console: Console, lines: list[str]) -> None:
    for line in lines:
        console.print(one_line(line), highlight=False, markup=False, soft_wrap=True)
