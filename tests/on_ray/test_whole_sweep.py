"""A whole sweep from the command line: it keeps secrets, and goes through Ctrl-C and SIGKILL to the same frontier."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(900)]

SECRETS = {
    "AWS_ACCESS_KEY_ID": "planted-8f2c-key",
    "AWS_SECRET_ACCESS_KEY": "planted-8f2c-secret",
    "AWS_SESSION_TOKEN": "planted-8f2c-session",
    "HF_TOKEN": "planted-8f2c-hub",
    "MLFLOW_PW": "planted-8f2c-password",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisturbed:
    """A sweep that nothing disturbed, with secrets in its environment."""

    space_file: Path
    storage: Path
    said: str
    ray_folder: Path


@pytest.fixture(scope="module")
def undisturbed(tree: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    folder = tmp_path_factory.mktemp("whole")
    ray_folder = Path(tempfile.mkdtemp(prefix="rf-", dir="/tmp"))  # short, since sockets are below it
    long = {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "epochs": 15, "batch_size": 8}
    tracking = {"uri": "http://me:${pw}@127.0.0.1:9/mlflow"}
    space = tree(folder / "runs", recipe=long, vars={"pw": "${MLFLOW_PW}"}, tracking=tracking)
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(space))
    driver = start(str(file), "--name", "whole", "--verbose", **SECRETS, RAY_TMPDIR=str(ray_folder))
    said = finish(driver)
    assert driver.returncode == 0, said
    assert "6/6 trainings" in said
    assert_nothing_of_ray_is_left()
    yield Undisturbed(space_file=file, storage=folder / "runs", said=said, ray_folder=ray_folder)
    shutil.rmtree(ray_folder, ignore_errors=True)


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "rayforget.cli", "sweep", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MLFLOW_PW": "x", **environment},
    )


def finish(driver: subprocess.Popen[str]) -> str:
    output, _ = driver.communicate(timeout=400)
    return output


def wait_until(condition: Callable[[], bool], driver: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 300
    while not condition():
        assert driver.poll() is None, driver.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.02)


def rays_processes() -> list[str]:
    def mark(command: list[str]) -> bool:
        return any("ray::" in part or "raylet" in part or "gcs_server" in part for part in command)

    return [" ".join(p.info["cmdline"])[:80] for p in psutil.process_iter(["cmdline"]) if mark(p.info["cmdline"] or [])]


def assert_nothing_of_ray_is_left(timeout_s: float = 40) -> None:
    """Ray's agents notice a killed driver late: their own check of their parent takes most of a minute."""
    end = time.monotonic() + timeout_s
    while left := rays_processes():
        assert time.monotonic() < end, left
        time.sleep(0.5)


def frontier(storage: Path, name: str) -> Any:
    rows = json.loads((storage / name / "report" / "frontier.json").read_text())
    return [(row["trial"], row["step"], row["alpha"], row["val"], row["test"]) for row in rows]


def test_planted_secrets_are_found_nowhere(undisturbed: Undisturbed) -> None:
    said = [undisturbed.said]
    for command in ("mirror", "ui"):
        words = [command, "whole", "--storage", str(undisturbed.storage)]
        done = subprocess.run(
            [sys.executable, "-m", "rayforget.cli", *words],
            capture_output=True,
            text=True,
            env={**os.environ, **SECRETS},
            check=False,
        )
        said.append(done.stdout + done.stderr)
    assert all("MLflow at http://127.0.0.1:9 failed" in text for text in said[1:])
    folders = (undisturbed.storage.parent, undisturbed.ray_folder)
    written = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert any(path.name.startswith("raylet") and "logs" in path.parts for path in written)
    found = [str(path) for path in written if b"planted-8f2c" in path.read_bytes()]
    assert (found, [text for text in said if "planted-8f2c" in text]) == ([], [])


def test_a_sweep_that_is_interrupted_and_killed_ends_as_one_that_was_not(undisturbed: Undisturbed) -> None:
    storage, space_file = undisturbed.storage, undisturbed.space_file
    first = start(str(space_file), "--name", "broken")
    wait_until(lambda: len(list((storage / "broken" / "points").glob("*.json"))) >= 4, first)
    first.send_signal(signal.SIGINT)
    output = finish(first)
    assert first.returncode == 130, output
    assert output.index("stopping; what is finished is recorded") < output.index("interrupted; go on with")
    assert f"rayforget sweep --resume broken --storage {storage}" in output
    assert_nothing_of_ray_is_left()
    kept = {path: path.read_bytes() for path in (storage / "broken" / "points").glob("*.json")}

    second = start("--resume", "broken", "--storage", str(storage))
    wait_until(lambda: len(list((storage / "broken" / "points").glob("*.json"))) >= len(kept) + 2, second)
    second.kill()
    second.communicate()
    kept |= {path: path.read_bytes() for path in (storage / "broken" / "points").glob("*.json")}

    third = start("--resume", "broken", "--storage", str(storage))
    output = finish(third)
    assert third.returncode == 0, output
    assert all(path.read_bytes() == data for path, data in kept.items())
    assert frontier(storage, "broken") == frontier(storage, "whole")
    names = {name: Sweep.open(Store.open(storage), name) for name in ("whole", "broken")}
    hashes = [{r.key: r.theta_1_hash for r in sweep.records()} for sweep in names.values()]
    assert hashes[0] == hashes[1]
    assert_nothing_of_ray_is_left(timeout_s=240)  # of the killed driver neither

    again = start("--resume", "broken", "--storage", str(storage))
    output = finish(again)
    assert again.returncode == 0, output
    assert "Ray" not in output  # nothing is left to do, so nothing is started
    assert "frontier.png" in output


def test_an_error_in_the_driver_is_one_line_after_the_report(
    tree: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    storage = tmp_path / "runs"
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tree(storage)))
    driver = start(str(tmp_path / "tiny.yaml"), "--name", "hurt")
    wait_until(lambda: len(list((storage / "hurt" / "points").glob("0000-*.json"))) >= 2, driver)
    asked = storage / "hurt" / "asked"
    asked.rename(storage / "away")
    asked.write_text("a file where the next job is to be written down")
    output = finish(driver)
    assert driver.returncode == 1, output
    assert "Traceback" not in output
    assert "halted: " in output
    assert "asked" in output.split("halted: ", 1)[1].splitlines()[0]
    assert f"rayforget sweep --resume hurt --storage {storage}" in output
    assert not (storage / "hurt" / "ray").exists()
    assert_nothing_of_ray_is_left()
