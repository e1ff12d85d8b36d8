"""MLflow's server on PostgreSQL, as a cluster's head may have it: a restart of the database costs a sweep nothing."""

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from mirrored import contents, make_view

from rayforget.record.storage.store import Store
from rayforget.report.mlflow.mirror import mirror
from rayforget.report.mlflow.tracking import find_tracking

pytestmark = pytest.mark.slow

Control = Callable[..., None]


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[tuple[str, Control]]:
    """A database's URI, and a function that runs `pg_ctl` with it."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL here (Debian's postgresql)")
    folder = Path("/var/tmp") / f"rf-postgres-{os.getpid()}"  # the user postgres cannot enter pytest's folders
    folder.mkdir()
    as_user = []
    if os.geteuid() == 0:  # which PostgreSQL refuses
        shutil.chown(folder, "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]

    def control(*words: str) -> None:
        command = [*as_user, str(found[-1].with_name("pg_ctl")), "-D", f"{folder}/data", "-l", f"{folder}/log", *words]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    listens = ["-o", f"-k {folder} -c listen_addresses=''"]
    try:
        control("initdb", "-o", "-A trust -U me")
        control("start", "-w", *listens)
        yield f"postgresql://me@/postgres?host={folder}", lambda: control("restart", "-w", "-m", "immediate", *listens)
        control("stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def server(postgres: tuple[str, Control], tmp_path: Path) -> Iterator[str]:
    """MLflow's server on it, started as cluster/mlflow.sh does."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = f"mlflow server --host 127.0.0.1 --port {port} --workers 1 --backend-store-uri {postgres[0]}"
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*words.split(), "--artifacts-destination", str(tmp_path / "artifacts")],
            stdout=log, stderr=log, env=environment, start_new_session=True,
        )  # fmt: skip
    try:
        end = time.monotonic() + 120
        while not _is_up(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None, (tmp_path / "server.log").read_text()
            assert time.monotonic() < end, (tmp_path / "server.log").read_text()
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _is_up(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=2).status == 200
    except OSError:
        return False


def test_a_database_that_restarts_midway_costs_nothing(
    postgres: tuple[str, Control], server: str, tmp_path: Path
) -> None:
    tracking = find_tracking(server, Store.open(tmp_path))
    small, whole = make_view(trials=2), make_view(trials=4)
    mirror(small, tracking)
    _, restart = postgres
    restart()
    mirror(whole, tracking)
    before = contents(tracking)
    restart()
    again = mirror(whole, tracking)
    assert (again.created, again.updated) == (0, 0)
    assert again.unchanged > 5
    assert contents(tracking) == before
    assert {f"tiny-1/{record.trial}" for record in whole.records if record.recipe} <= before.keys()
