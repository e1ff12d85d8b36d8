"""The command that a user is told to type finds the sweep again."""

from pathlib import Path

import pytest

from rayforget.record.command import PATHS, PROGRAM, WAY, command, resuming
from rayforget.record.storage.store import Store


def test_who_came_by_uv_run_is_told_to_do_so_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    assert command("ui x", "runs") == "uv run rayforget ui x"
    assert command("ui x", "/data/runs") == "uv run rayforget ui x --storage /data/runs"


def test_the_default_storage_needs_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for same in ("runs", "./runs", tmp_path / "runs", Store.open("runs")):
        assert command("ui x", same) == "rayforget ui x"


def test_any_other_storage_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("ui x", "s3://bucket/runs") == "rayforget ui x --storage s3://bucket/runs"
    assert command("rm x", Store.open("/data/my runs")) == "rayforget rm x --storage '/data/my runs'"
    assert command("list", "other") == "rayforget list --storage other"


def test_a_password_in_the_storage_is_not_told() -> None:
    told = command("rm x", "s3://KEY:SECRET@bucket/runs?region=a")
    assert told == "rayforget rm x --storage 's3://bucket/runs?region=a'"
    assert command("rm x", "hdfs://me@host/runs") == "rayforget rm x --storage hdfs://me@host/runs"


def test_a_sweep_of_a_cluster_goes_on_there() -> None:
    assert command(resuming("s", "http://far:8265"), "s3://b/runs").endswith(
        " sweep --resume s --address http://far:8265 --storage s3://b/runs"
    )
    assert resuming("s", None) == "sweep --resume s"


def test_a_job_tells_what_its_user_types_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    monkeypatch.setenv(PROGRAM, "rayforget")
    monkeypatch.setenv(WAY, "--cluster 'my cluster.yaml'")
    assert command(resuming("s", "auto"), "s3://b/runs") == (
        "rayforget submit --resume s --cluster 'my cluster.yaml' --storage s3://b/runs"
    )
    monkeypatch.setenv(PATHS, "--paths-on-cluster")
    assert resuming("s") == "submit --resume s --cluster 'my cluster.yaml' --paths-on-cluster"
