"""MLflow shows the record, however often and from wherever it is mirrored."""

import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mirrored import contents, make_view
from synthetic_sweep import ROLES

from rayforget.frontier.gather import gather
from rayforget.record.storage.store import Store
from rayforget.report.mlflow.mirror import mirror
from rayforget.report.mlflow.mirror_plan import FRONTIER_TABLE
from rayforget.report.mlflow.saved_view import points_filter
from rayforget.report.mlflow.tracking import MirrorError, find_tracking
from rayforget.report.terminal.frontier_table import frontier_as_table

pytestmark = pytest.mark.slow  # MLflow's import and a new database take seconds


def test_mirroring_twice_gives_the_same(tracking):
    view = make_view()
    first = mirror(view, tracking)
    before = contents(tracking)
    second = mirror(view, tracking)
    assert first.created == len(before) > 5
    assert (second.created, second.updated, second.unchanged) == (0, 0, first.created)
    assert (second.experiment, second.run) == (first.experiment, first.run)
    assert contents(tracking) == before


def test_mlflow_holds_what_the_record_says(tracking):
    view = make_view()
    mirror(view, tracking)
    held = contents(tracking)
    values = {point.key: point for point in view.points}
    assert held["tiny-1"]["artifacts"] == ["frontier.json", "frontier.png"]
    assert [value for _, value, _ in held["tiny-1"]["metrics"]["val/hypervolume"]] == [0.01, 0.02, 0.03]
    record = view.records[-2]
    run = held[f"tiny-1/{record.trial}"]
    assert run["parent"] == "tiny-1"
    assert run["params"]["learning_rate"] == repr(record.recipe["learning_rate"])
    curve = [(step, value) for step, value, _ in run["metrics"]["val/generality"]]
    assert curve == [
        (round(1000 * p.alpha), values[record.trial, record.step, p.alpha, p.path].generality) for p in record.points
    ]
    assert {held[key]["info"][1] for key in held if held[key]["tags"]["rayforget.kind"] == "trial"} == {
        "FINISHED", "FAILED",
    }  # fmt: skip


def test_the_filter_finds_exactly_the_points_to_compare(tracking):
    from mlflow import MlflowClient

    view = make_view()
    assert view.frontier is not None
    dropped = view.frontier[-1]
    fewer_points = replace(view, frontier=view.frontier[:-1])
    mirrored = mirror(view, tracking)
    fewer = mirror(fewer_points, tracking)
    assert fewer.superseded == 1
    again = mirror(fewer_points, tracking)
    assert (again.superseded, again.updated) == (0, 0)

    def found(place: str) -> set[str]:
        client = MlflowClient(tracking_uri=tracking.uri)
        runs = client.search_runs([mirrored.experiment], f"{points_filter('tiny-1', 990.0)} and tags.place = '{place}'")
        return {run.info.run_name for run in runs}

    assert found("frontier") == {key.text for key in view.frontier[:-1]}
    assert found("baseline") == {"theta_0/0/lerp/0.0", "plain-0/80/lerp/1.0"}
    assert found("training")
    back = mirror(view, tracking)
    assert (back.created, back.updated) == (0, 1)
    assert dropped.text in found("frontier")


def test_a_sweep_that_grows_is_mirrored_as_if_it_had_been_mirrored_once(tracking, tmp_path):
    view = make_view()
    half = view.records[:3]
    points = gather(half, ROLES).points
    live = replace(view, running=True, records=half, points=points, frontier=None, artifacts={}, series={})
    mirror(live, tracking)
    assert contents(tracking)["tiny-1"]["info"][1] == "RUNNING"
    mirror(view, tracking)
    grown = contents(tracking)
    (tmp_path / "mlflow.db").unlink()
    mirror(view, tracking)
    assert grown == contents(tracking)


def test_the_frontier_is_a_table_that_mlflow_reads(tracking):
    import mlflow
    from summaries import make_summary

    summary = make_summary("full")
    mirrored = mirror(make_view(artifacts={FRONTIER_TABLE: frontier_as_table(summary)}), tracking)
    mlflow.set_tracking_uri(tracking.uri)
    try:
        client = mlflow.MlflowClient(tracking_uri=tracking.uri)
        table = client.load_table(mirrored.experiment, FRONTIER_TABLE, run_ids=[mirrored.run])
    finally:
        mlflow.set_tracking_uri(None)
    assert list(table["trial"]) == [summary.points[i].trial for i in summary.frontier]
    assert list(table["val/generality"]) == pytest.approx([summary.val[i].generality for i in summary.frontier])


def test_while_a_sweep_runs_its_point_runs_are_left_alone(tracking):
    view = make_view()
    mirror(view, tracking)
    before = contents(tracking)
    assert mirror(replace(view, frontier=None), tracking).superseded == 0
    assert contents(tracking) == before


@pytest.mark.parametrize("calls", [0, 1, 4, 8])
def test_a_mirror_that_failed_midway_is_completed_by_the_next(tracking, monkeypatch, tmp_path, calls):
    from mlflow import MlflowClient

    view, left = make_view(), calls
    write = MlflowClient.log_batch

    def failing(*args: Any, **kwargs: Any) -> Any:
        nonlocal left
        if left == 0:
            raise OSError("connection lost")
        left -= 1
        return write(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", failing)
        with pytest.raises(MirrorError, match=r"OSError: connection lost\); the record is complete: run `rayforget mi"):
            mirror(view, tracking)
    mirror(view, tracking)
    completed = contents(tracking)
    (tmp_path / "mlflow.db").unlink()
    mirror(view, tracking)
    assert completed == contents(tracking)


def test_doubles_of_two_mirrors_at_once_are_deleted(tracking):
    from mlflow import MlflowClient

    view = make_view()
    mirrored = mirror(view, tracking)
    before = contents(tracking)
    client = MlflowClient(tracking_uri=tracking.uri)
    tags = {k: v for k, v in client.get_run(mirrored.run).data.tags.items() if k.startswith("rayforget")}
    client.create_run(mirrored.experiment, start_time=0, tags=tags | {"rayforget.mirrored": "no"})
    mirror(view, tracking)
    held = contents(tracking)
    held["tiny-1"]["info"] = before["tiny-1"]["info"]
    assert held.keys() == before.keys()
    assert held["tiny-1"]["metrics"] == before["tiny-1"]["metrics"]


def test_sweeps_of_one_name_and_different_times_do_not_mix(tracking):
    from mlflow import MlflowClient

    first = mirror(make_view(), tracking)
    second = mirror(make_view(created=2000.0), tracking)
    assert second.created == first.created
    assert first.run != second.run
    runs = MlflowClient(tracking_uri=tracking.uri).search_runs([first.experiment], max_results=5000)
    assert len(runs) == 2 * first.created


def test_a_deleted_experiment_says_how_to_restore_it(tracking):
    from mlflow import MlflowClient

    mirrored = mirror(make_view(), tracking)
    MlflowClient(tracking_uri=tracking.uri).delete_experiment(mirrored.experiment)
    with pytest.raises(MirrorError, match=f"mlflow experiments restore -x {mirrored.experiment}"):
        mirror(make_view(), tracking)


def test_a_broken_database_is_a_mirror_error(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(MirrorError, match="rayforget mirror"):
        mirror(make_view(), find_tracking(None, Store.open(tmp_path)))


def test_a_server_that_is_down_is_reported_soon_and_without_its_password(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = (
        "import sys\nfrom mirrored import make_view\nfrom rayforget.report.mlflow.mirror import mirror\n"
        "from rayforget.report.mlflow.tracking import Tracking\n"
        "mirror(make_view(), Tracking(uri=sys.argv[1], artifacts=None))"
    )
    paths = {"PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[1]}", "PATH": "/usr/bin:/bin"}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script, f"http://me:secret@127.0.0.1:{port}"],
        capture_output=True, text=True, env=paths, cwd=tmp_path,
    )  # fmt: skip
    last = done.stderr.strip().splitlines()[-1]
    assert f"MirrorError: MLflow at http://127.0.0.1:{port} failed" in last
    assert "secret" not in last
    assert time.monotonic() - started < 30


def test_telemetry_is_off_and_nothing_is_written_beside_the_storage(tmp_path):
    script = (
        "import os, sys\nfor name in ('CI', 'PYTEST_CURRENT_TEST'): os.environ.pop(name, None)\n"
        "from mirrored import make_view\nfrom rayforget.record.storage.store import Store\n"
        "from rayforget.report.mlflow.mirror import mirror\n"
        "from rayforget.report.mlflow.tracking import find_tracking\n"
        "mirror(make_view(), find_tracking(None, Store.open('storage')))\n"
        "import mlflow.telemetry.utils as utils\nfrom mlflow.telemetry import get_telemetry_client\n"
        "print(utils.is_telemetry_disabled(), get_telemetry_client())"
    )
    paths = {"PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[1]}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=paths, cwd=tmp_path, check=True
    )
    assert done.stdout.split() == ["True", "None"]
    assert done.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["storage"]
