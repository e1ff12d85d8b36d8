"""Secrets of the environment are in nothing that a sweep writes or says, Ray's own files included."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(600)]

SECRETS = {
    "AWS_ACCESS_KEY_ID": "planted-8f2c-key",
    "AWS_SECRET_ACCESS_KEY": "planted-8f2c-secret",
    "AWS_SESSION_TOKEN": "planted-8f2c-session",
    "HF_TOKEN": "planted-8f2c-hub",
    "MLFLOW_PW": "planted-8f2c-password",
}


@pytest.fixture
def ray_folder() -> Iterator[Path]:
    """Where Ray makes its session's folder; short, since sockets are below it."""
    folder = Path(tempfile.mkdtemp(prefix="rf-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_planted_secrets_are_found_nowhere(
    tree: Callable[..., dict[str, Any]], tmp_path: Path, ray_folder: Path
) -> None:
    space = tree(
        tmp_path / "runs",
        vars={"pw": "${MLFLOW_PW}"},
        plain={"set": {"learning_rate": 1e-3}, "seeds": 1},
        search={"trainings": 1, "seed": 0, "startup": 1},
        tracking={"uri": "http://me:${pw}@127.0.0.1:9/mlflow"},
    )
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(space))
    said = []
    for words in (["sweep", "tiny.yaml", "--name", "one", "--verbose"], ["mirror", "one"], ["ui", "one"]):
        done = subprocess.run(
            [sys.executable, "-m", "rayforget.cli", *words],
            capture_output=True,
            cwd=tmp_path,
            env={**os.environ, **SECRETS, "RAY_TMPDIR": str(ray_folder), "OMP_NUM_THREADS": "1"},
        )
        said.append(done.stdout + done.stderr)
    assert b"2/2 trainings" in said[0]
    assert b"MLflow at http://127.0.0.1:9 failed" in said[1]
    assert b"http://127.0.0.1:9\n" in said[2]
    written = [path for root in (tmp_path, ray_folder) for path in root.rglob("*") if path.is_file()]
    assert any(path.name.startswith("raylet") and "logs" in path.parts for path in written)
    found = [str(path) for path in written if b"planted-8f2c" in path.read_bytes()]
    assert (found, [text for text in said if b"planted-8f2c" in text]) == ([], [])
