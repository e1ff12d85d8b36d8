"""Fixtures that several tests share."""

import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported; Ray's processes share these cores
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests' processes share the cores; torch's threads would fight
os.environ.pop("UV_RUN_RECURSION_DEPTH", None)  # messages then omit `uv run`, however this was started

import pytest

HERE = Path(__file__).parent
LONGEST = (
    "golden",
    "train/test_sharding.py",
    "train/test_compile.py",
    "train/test_clip_sharding.py",
    "report/test_mlflow_ui.py",
    "export/test_fresh_process.py",
    "report/test_mlflow_on_postgres.py",
    "test_gpu_benchmark.py",
    "test_benchmarks.py",
)
"""Files and folders of tests that take a minute or so; they begin first, lest a process wait for one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest tests first and leaves the rest in order."""
    items.sort(key=lambda item: not any(item.path.is_relative_to(HERE / name) for name in LONGEST))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real data and models (RAYFORGET_SHARED, default ../shared); tests skip without it, except in CI."""
    folder = Path(os.environ.get("RAYFORGET_SHARED", "../shared")).resolve()
    if not (folder / "data").is_dir():
        message = f"no real data at {folder}; set RAYFORGET_SHARED to the folder that holds data/"
        if os.environ.get("RAYFORGET_REQUIRE_SHARED") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return folder
