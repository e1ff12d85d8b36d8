"""cluster/mlflow.sh: MLflow is started again when it dies, ends with Ray, and runs once."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "cluster" / "mlflow.sh"
EVERY_S = "0.05"


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    """Starts the script with an MLflow that notes its process, and a Ray that is up while the file `ray` exists."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    notes = [f"echo $! >> {tmp_path}/children", f"echo $$ >> {tmp_path}/pids", f'echo "$@" > {tmp_path}/arguments']
    script(bin_ / "mlflow", "\n".join(["sleep 60 &", *notes, "wait"]))
    script(bin_ / "pgrep", f"test -e {tmp_path}/ray")
    (tmp_path / "ray").touch()
    started = []

    def begin() -> "subprocess.Popen[bytes]":
        environment = {**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}", "RAYFORGET_MLFLOW_WAIT": "0.2"}
        started.append(subprocess.Popen([SCRIPT, str(tmp_path / "mlflow"), EVERY_S], env=environment))
        return started[-1]

    yield begin
    for each in started:
        each.terminate()
        each.wait(timeout=20)


def pids(folder: Path, name: str = "pids") -> list[int]:
    found = folder / name
    return [int(line) for line in found.read_text().split()] if found.exists() else []


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_it_is_started_again_when_it_dies_and_ends_with_ray(
    start: Callable[[], "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    supervisor = start()
    wait_for(lambda: len(pids(tmp_path)) == 1)
    os.kill(pids(tmp_path)[0], signal.SIGKILL)
    wait_for(lambda: len(pids(tmp_path)) == 2)
    wait_for(lambda: not alive(pids(tmp_path, "children")[0]))  # else it would keep the port
    wait_for(lambda: (tmp_path / "arguments").read_text().startswith("server --host 127.0.0.1 --port 5000"))
    (tmp_path / "ray").unlink()
    assert supervisor.wait(timeout=20) == 0
    wait_for(lambda: not alive(pids(tmp_path)[1]) and not alive(pids(tmp_path, "children")[1]))


def test_its_database_and_artifacts_may_lie_elsewhere(
    start: Callable[[], "subprocess.Popen[bytes]"], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYFORGET_MLFLOW_DB", "postgresql://me@/mlflow?host=/run/postgresql")
    monkeypatch.setenv("RAYFORGET_MLFLOW_ARTIFACTS", "s3://bucket/mlflow")
    start()
    wait_for(lambda: pids(tmp_path))
    words = (tmp_path / "arguments").read_text().split()
    assert words[words.index("--backend-store-uri") + 1] == "postgresql://me@/mlflow?host=/run/postgresql"
    assert words[words.index("--artifacts-destination") + 1] == "s3://bucket/mlflow"


def test_a_second_one_leaves_the_first_alone(start: Callable[[], "subprocess.Popen[bytes]"], tmp_path: Path) -> None:
    start()
    wait_for(lambda: pids(tmp_path))
    assert start().wait(timeout=20) == 0
    assert len(pids(tmp_path)) == 1
    assert alive(pids(tmp_path)[0])
