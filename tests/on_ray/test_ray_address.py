"""RAY_ADDRESS in the shell never overrides --address, and never surprises."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from rayforget.errors import RayforgetError
from rayforget.on_ray.session import without_ray_address


@pytest.fixture
def other_cluster() -> Iterator[tuple[str, list[str]]]:
    """A server on loopback, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_the_variables_are_gone_inside_and_back_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    with without_ray_address() as found:
        assert found == {"RAY_ADDRESS": "10.0.0.1:6379"}
        assert "RAY_ADDRESS" not in os.environ
    assert os.environ["RAY_ADDRESS"] == "10.0.0.1:6379"
    assert "RAY_API_SERVER_ADDRESS" not in os.environ


@pytest.mark.parametrize("variable", ["RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"])
def test_a_job_goes_to_the_address_that_was_given(
    variable: str, other_cluster: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from test_submit import SPACE, free_ports

    from rayforget.on_ray.remote.reach import ClusterAddress
    from rayforget.on_ray.submit import submit_sweep

    other, asked = other_cluster
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv(variable, other)
    (port,) = free_ports(1)
    space = tmp_path / "space.yaml"
    space.write_text(SPACE.format(data=tmp_path))
    with pytest.raises(RayforgetError, match=f"no Ray dashboard answers at http://127.0.0.1:{port}"):
        submit_sweep(
            ClusterAddress(address=f"http://127.0.0.1:{port}"),
            space=space,
            overrides=(),
            name=None,
            resume=None,
            storage=None,
            paths_on_cluster=True,
        )
    assert asked == []


STAY = """
import json, logging, os, pathlib, sys
import ray  # as in a notebook, before anything of ours
logging.basicConfig(format="%(message)s")
from rayforget.on_ray.session import ray_session
from rayforget.space.parts import Resources
with ray_session(Resources(cpus_per_worker=1), address=None):
    ask = ray.remote(runtime_env={"env_vars": {"A": ""}})(lambda: (os.environ.get("RAY_ADDRESS"), sys.executable))
    theirs, interpreter = ray.get(ask.remote())
    assert interpreter == sys.executable, (interpreter, sys.executable)
    nodes = [node["NodeManagerAddress"] for node in ray.nodes()]
    folder = pathlib.Path(ray.get_runtime_context().get_temp_dir())
    closed = [(os.stat(path).st_mode & 0o777, os.stat(path).st_uid) for path in (folder, *folder.parents)]
print(json.dumps([theirs, nodes, os.environ["RAY_ADDRESS"], closed]))
"""


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(300)
def test_under_uv_run_a_plain_sweep_stays_on_this_machine_with_its_interpreter_and_says_so() -> None:
    environment = {**os.environ, "RAY_ADDRESS": "10.255.255.1:6379"}  # Ray reads its own when it is imported
    done = subprocess.run(
        ["uv", "run", "python", "-c", STAY],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    theirs, nodes, ours, closed = json.loads(done.stdout.strip().splitlines()[-1])
    assert theirs != "10.255.255.1:6379"
    assert nodes == ["127.0.0.1"]
    assert "RAY_ADDRESS=10.255.255.1:6379 is not used" in done.stderr
    assert ours == "10.255.255.1:6379"
    assert [0o700, os.getuid()] in closed  # nobody else reads what Ray writes
