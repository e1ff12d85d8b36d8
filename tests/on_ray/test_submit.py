"""A sweep sent to a cluster's dashboard: refused here if it cannot run there, otherwise run there and followed."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from rayforget.errors import RayforgetError, SpaceError
from rayforget.on_ray.remote.reach import ClusterAddress
from rayforget.on_ray.submit import submit_sweep

NOWHERE = ClusterAddress(address="http://127.0.0.1:1")

SPACE = """\
name: tiny
foundation: {{kind: clip, model: local-dir:{data}/model}}
tasks:
  own:
    kind: zero_shot
    role: speciality
    templates: ["a {{}}"]
    train: {{kind: folder, path: {data}/own/train}}
    val: {{kind: folder, path: {data}/own/val}}
    test: {{kind: folder, path: {data}/own/test}}
  other:
    kind: zero_shot
    role: generality
    group: distribution
    val: {{kind: folder, path: {data}/other/val}}
    test: {{kind: folder, path: {data}/other/test}}
recipe: {{learning_rate: 1e-3, epochs: 1, batch_size: 4}}
methods:
  full: {{}}
plain: {{seeds: 1}}
search: {{trainings: 1, seed: 0, startup: 1}}
curve: {{coarse: [0, 1], refine: 0}}
resources: {{cpus_per_worker: 1, cache: {data}/cache}}
storage: {{path: {data}/runs}}
tracking: {{enabled: false}}
"""


@pytest.fixture
def space_file(tmp_path: Path) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(SPACE.format(data=tmp_path))
    return path


def test_local_paths_are_refused_before_anything_is_asked_of_the_cluster(space_file: Path) -> None:
    with pytest.raises(SpaceError, match="only on this machine"):
        submit_sweep(NOWHERE, space=space_file, overrides=(), name=None, resume=None)


def test_a_sweep_kept_on_this_machine_is_not_resumed_elsewhere() -> None:
    for storage in ("runs", "/runs"):
        with pytest.raises(SpaceError, match="folder of this machine"):
            submit_sweep(NOWHERE, space=None, overrides=(), name=None, resume="x", storage=storage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    address: str
    environment: dict[str, str]
    folder: Path
    """Where it keeps its logs, and what jobs send."""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A cluster of one node on loopback that asks for a token; afterwards its processes, and only these, are gone."""
    gcs, dashboard, client, agent, agent_grpc, metrics = free_ports(6)
    temporary = tempfile.mkdtemp(prefix="r-", dir="/tmp")  # holds Ray's sockets, whose paths must be short
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(16),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "OMP_NUM_THREADS": "1",
        "MLFLOW_PW": "of-the-cluster",
    }
    options = {
        "port": gcs,
        "dashboard-port": dashboard,
        "dashboard-host": "127.0.0.1",
        "node-ip-address": "127.0.0.1",
        "ray-client-server-port": client,
        "dashboard-agent-listen-port": agent,
        "dashboard-agent-grpc-port": agent_grpc,
        "metrics-export-port": metrics,
        "num-cpus": 3,
        "temp-dir": temporary,
    }
    command = ["ray", "start", "--head", "--block", *(f"--{name}={value}" for name, value in options.items())]
    with (Path(temporary) / "start.log").open("w") as log:
        head = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        wait_for(dashboard, head)
        yield Cluster(address=f"http://127.0.0.1:{dashboard}", environment=environment, folder=Path(temporary))
    finally:
        left = end_with_descendants(psutil.Process(head.pid), temporary)
        head.wait()
        left += [process for process in psutil.process_iter(["cmdline"]) if belongs(process, temporary)]
        shutil.rmtree(temporary, ignore_errors=True)
    assert not left


def free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_for(port: int, head: subprocess.Popen[bytes]) -> None:
    for _ in range(240):
        assert head.poll() is None, "ray start ended"
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    pytest.fail("the dashboard does not answer")


def belongs(process: psutil.Process, temporary: str) -> bool:
    return temporary in " ".join(process.info["cmdline"] or ())


def end_with_descendants(head: psutil.Process, temporary: str) -> list[psutil.Process]:
    """Ends them, by force if need be, and returns those that survive."""
    ours = [head, *head.children(recursive=True)]
    head.terminate()
    _, alive = psutil.wait_procs(ours, timeout=5)
    alive += [process for process in psutil.process_iter(["cmdline"]) if belongs(process, temporary)]
    for process in alive:
        if process.is_running():
            process.kill()
    return psutil.wait_procs(alive, timeout=10)[1]


def save_images(folder: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for label in ("dark", "light"):
        (folder / label).mkdir(parents=True)
        for index in range(4):
            pixels = rng.integers(0, 128, (24, 24, 3), dtype=np.uint8) + (128 if label == "light" else 0)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / label / f"{index}.png")


def rayforget(cluster: Cluster, here: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command of a user whose tunnel is open."""
    return subprocess.run(
        [sys.executable, "-m", "rayforget.cli", *words, "--address", cluster.address],
        env={**cluster.environment, **environment},
        cwd=here,
        capture_output=True,
        text=True,
        timeout=420,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(900)
def test_a_sweep_runs_as_a_job_and_its_output_and_exit_code_come_back(
    cluster: Cluster, space_file: Path, tmp_path: Path
) -> None:
    from tiny_clip import save_clip

    save_clip(tmp_path / "model")
    for seed, split in enumerate(("own/train", "own/val", "own/test", "other/val", "other/test")):
        save_images(tmp_path / split, seed)
    submit = ("submit", space_file.name, "--set", "search.seed=3", "--name", "sent", "--paths-on-cluster")

    stranger = rayforget(cluster, tmp_path, *submit, RAY_AUTH_TOKEN="wrong")
    assert "does not let us in" in stranger.stderr, stranger.stderr
    assert not (tmp_path / "runs").exists()

    done = rayforget(cluster, tmp_path, *submit)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"rayforget stop sent --address {cluster.address}" in done.stderr
    assert "sweep sent" in done.stdout
    assert (tmp_path / "runs" / "sent").is_dir()

    attached = rayforget(cluster, tmp_path, "attach", "sent")
    assert (attached.returncode, attached.stdout) == (0, done.stdout)
    stopped = rayforget(cluster, tmp_path, "stop", "sent")
    resume = f"submit --resume sent --address {cluster.address} --paths-on-cluster --storage {tmp_path}/runs"
    assert stopped.returncode == 0
    assert "does not run" in stopped.stderr
    assert resume in stopped.stderr
    one = rayforget(cluster, tmp_path, "logs", "sent", "0000-plain").stdout.splitlines()
    assert [line.partition("] ")[2] for line in one if "[rayforget]" in line] == [
        "begins 0000-plain, attempt 1",
        "ends 0000-plain",
    ]
    nobody = rayforget(cluster, tmp_path, "logs", "sent", "0009-plain")
    assert nobody.returncode == 2
    assert "has trained 0009-plain" in nobody.stderr

    other = rayforget(cluster, tmp_path, "attach", "other")
    assert other.returncode == 2
    assert "no job of a sweep other; found: sent." in other.stderr

    text = space_file.read_text().replace("{enabled: false}", "{uri: 'http://me:${MLFLOW_PW}@127.0.0.1:9'}")
    space_file.write_text(text.replace("name: tiny", "name: '${SPACE_NAME}'"))
    planted = {"MLFLOW_PW": "planted-8f2c-password", "SPACE_NAME": "planted-8f2c-name"}
    again = rayforget(cluster, tmp_path, *submit, **planted)  # the sweep's name is taken: the job's own exit code
    assert again.returncode == 2, again.stdout + again.stderr
    assert "sent" in again.stdout
    assert resume in again.stdout
    assert "not sent, since they may hold secrets and Ray logs what is sent: MLFLOW_PW;" in again.stderr
    kept = b"".join(path.read_bytes() for path in cluster.folder.rglob("*") if path.is_file())
    assert b"planted-8f2c-name" in kept
    assert b"planted-8f2c-password" not in kept


def test_a_cluster_that_is_not_there_is_said_to_be_so(space_file: Path) -> None:
    (port,) = free_ports(1)
    environment = {"RAY_AUTH_MODE": "disabled"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        with pytest.raises(RayforgetError, match="no Ray dashboard answers"):
            submit_sweep(
                ClusterAddress(address=f"http://127.0.0.1:{port}"),
                space=space_file,
                overrides=(),
                name=None,
                resume=None,
                paths_on_cluster=True,
            )
