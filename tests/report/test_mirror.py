"""MLflow shows the record, however often and from wherever it is mirrored."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import summaries
from synthetic_sweep import ROLES

from rayforget.frontier.gather import gather
from rayforget.record.store import Store
from rayforget.report.mlflow.data_used import DataUsed
from rayforget.report.mlflow.mirror import find_link, mirror
from rayforget.report.mlflow.mirror_plan import FRONTIER_TABLE, SweepView
from rayforget.report.mlflow.saved_view import filter_link, points_filter
from rayforget.report.mlflow.tracking import MirrorError, Tracking, find_tracking
from rayforget.report.terminal.frontier_table import frontier_as_table

pytestmark = pytest.mark.slow  # MLflow's import and a new database take seconds


def make_view(trials: int = 3, **changes: Any) -> SweepView:
    given = {
        "tags": {"commit": "abc"},
        "series": {"val/hypervolume": [(n, 0.01 * n) for n in range(1, 4)]},
        "artifacts": {"frontier.json": b"{}", "frontier.png": b"png"},
    }
    return summaries.make_view(trials=trials, **{**given, **changes})


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory) -> Path:
    """MLflow needs seconds to set up a database; the tests copy this one."""
    storage = Store.open(tmp_path_factory.mktemp("empty"))
    tracking = find_tracking(None, storage)
    mirror(make_view(trials=1, name="other", space_name="other"), tracking)
    assert storage.local is not None
    return storage.local / "mlflow.db"


@pytest.fixture
def tracking(empty_database, tmp_path, monkeypatch) -> Tracking:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return find_tracking(None, Store.open(tmp_path))


def contents(tracking: Tracking, space_name: str = "tiny") -> dict[str, Any]:
    """Everything in an MLflow experiment, by the runs' keys and without their ids."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=tracking.uri)
    experiment = client.get_experiment_by_name(space_name)
    runs = client.search_runs([experiment.experiment_id], max_results=5000)
    keys = {run.info.run_id: run.data.tags["rayforget.key"] for run in runs}
    assert len(set(keys.values())) == len(keys)
    found = {}
    for run in runs:
        tags = {k: v for k, v in run.data.tags.items() if k != "mlflow.parentRunId"}
        found[keys[run.info.run_id]] = {
            "parent": keys.get(run.data.tags.get("mlflow.parentRunId", "")),
            "tags": {name: without_ids(text, keys) for name, text in tags.items()},
            "params": run.data.params,
            "info": (run.info.run_name, run.info.status, run.info.start_time, run.info.end_time),
            "metrics": {
                name: sorted((m.step, m.value, m.timestamp) for m in client.get_metric_history(run.info.run_id, name))
                for name in run.data.metrics
            },
            "artifacts": sorted(item.path for item in client.list_artifacts(run.info.run_id)),
        }
    return found


def without_ids(text: str, keys: Mapping[str, str]) -> str:
    for run_id, key in keys.items():
        text = text.replace(run_id, key)
    return text


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


def test_frontier_points_are_models_that_a_bound_on_generality_finds(tracking):
    from mlflow import MlflowClient

    view = make_view()
    assert view.frontier is not None
    mirrored = mirror(view, tracking)
    mirror(view, tracking)
    client = MlflowClient(tracking_uri=tracking.uri)
    values = {point.key: point for point in view.points}
    bound = sorted(values[key].generality for key in view.frontier)[1]

    def found(where: str) -> list[str]:
        models = client.search_logged_models([mirrored.experiment], f"{where} AND tags.superseded = 'false'")
        assert {model.status.value for model in models} == {"READY"}
        return sorted(model.tags["point"] for model in models)

    good = f"metrics.`val/generality` >= {bound - 1e-9}"
    assert found(good) == sorted(key.text for key in view.frontier if values[key].generality >= bound)
    mirror(replace(view, frontier=view.frontier[:-1]), tracking)
    assert found("metrics.`val/generality` >= 0") == sorted(key.text for key in view.frontier[:-1])
    run = client.get_run(client.search_logged_models([mirrored.experiment])[0].source_run_id)
    assert len(run.outputs.model_outputs) == 1


def test_the_picked_point_is_registered_once_as_champion(tracking):
    from mlflow import MlflowClient

    view = make_view()
    assert view.frontier is not None
    with pytest.raises(MirrorError, match=r"^no point of tiny-1 is picked yet"):
        mirror(view, tracking, register=True)
    client = MlflowClient(tracking_uri=tracking.uri)
    for _ in range(2):
        done = mirror(replace(view, picked=view.frontier[0]), tracking, register=True)
        assert done.registered == "tiny version 1, alias champion"
    champion = client.get_model_version_by_alias("tiny", "champion")
    assert champion.tags["point"] == view.frontier[0].text
    models = client.search_logged_models([done.experiment], f"tags.point = '{view.frontier[0].text}'")
    assert [model.artifact_location for model in models] == [champion.source]
    assert mirror(replace(view, picked=view.frontier[1]), tracking, register=True).registered == (
        "tiny version 2, alias champion"
    )
    assert client.get_model_version_by_alias("tiny", "champion").tags["point"] == view.frontier[1].text


def test_data_sets_are_inputs_with_their_digests_and_the_commit_is_mlflows_own(tracking):
    from mlflow import MlflowClient

    common = {"num_items": 8, "role": "speciality", "rule": "accuracy", "source": "{}"}
    data = [
        DataUsed(task="photo", split="val", digest="a" * 32, **common),  # type: ignore[arg-type]
        DataUsed(task="photo", split="test", digest="b" * 32, **common),  # type: ignore[arg-type]
    ]
    mirrored = mirror(make_view(data=data, commit="0123abc"), tracking)
    run = MlflowClient(tracking_uri=tracking.uri).get_run(mirrored.run)
    assert {
        (each.dataset.name, each.dataset.digest, each.tags[0].value) for each in run.inputs.dataset_inputs
    } == {("photo", "a" * 32, "val"), ("photo", "b" * 32, "test")}  # fmt: skip
    assert run.data.tags["mlflow.source.git.commit"] == "0123abc"


def test_a_second_try_that_succeeds_takes_back_the_failure_and_what_was_known_of_it(tracking):
    view = make_view()
    (failed,) = [record for record in view.records if record.status == "failed"]
    first = replace(failed, facts={"skipped_steps": 20})
    mirror(replace(view, records=[first if record is failed else record for record in view.records]), tracking)
    before = contents(tracking)[f"tiny-1/{failed.trial}"]
    assert before["tags"]["mlflow.note.content"] == "loss is nan"
    good = next(record for record in view.records if record.fraction == 1 and record.recipe)
    second = replace(good, trial=failed.trial, recipe=failed.recipe)
    records = [second if record is failed else record for record in view.records]
    mirror(replace(view, records=records, points=gather(records, ROLES).points), tracking)
    after = contents(tracking)[f"tiny-1/{failed.trial}"]
    assert after["info"][1] == "FINISHED"
    assert after["tags"]["mlflow.note.content"] == ""
    assert "facts.skipped_steps" not in after["tags"]


def test_a_renamed_sweep_is_the_same_under_its_new_name(tracking):
    before = mirror(make_view(), tracking)
    after = mirror(make_view(name="renamed"), tracking)
    assert (after.created, after.run, after.link) == (0, before.run, before.link)
    assert contents(tracking)["tiny-1"]["info"][0] == "renamed"
    assert find_link(tracking, space_name="tiny", identity="tiny-1", created=990.0) == after.link


def test_what_an_earlier_version_mirrored_is_found_and_brought_up_to_date(tracking):
    """Points were children of their trials then, with other names and no colours, and facts were metrics."""
    from mlflow import MlflowClient

    view = make_view()
    assert view.frontier is not None
    client = MlflowClient(tracking_uri=tracking.uri)
    experiment = client.create_experiment("tiny")

    def old(key: str, kind: str, parent: str | None, **tags: str) -> str:
        own = {"key": key, "kind": kind, "sweep": "tiny-1", "created": "990", "mirrored": "0" * 16}
        shown = {} if parent is None else {"mlflow.parentRunId": parent}
        run = client.create_run(
            experiment, tags={**{f"rayforget.{name}": text for name, text in own.items()}, **shown, **tags},
            run_name=key.replace("/", " "), start_time=1,
        )  # fmt: skip
        client.log_metric(run.info.run_id, "facts/resumed_from", 0.0)
        client.set_terminated(run.info.run_id)
        return str(run.info.run_id)

    sweep = old("tiny-1", "sweep", None)
    trial = old(f"tiny-1/{view.frontier[0].trial}", "trial", sweep)
    key = view.frontier[0]
    point = old(f"tiny-1/{key.trial}/{key.step}/{key.alpha!r}", "point", trial, superseded="false")
    as_list = find_link(tracking, space_name="tiny", identity="tiny-1", created=990.0)
    assert as_list == filter_link(experiment, "tiny-1", 990.0)
    assert [run.info.run_id for run in client.search_runs([experiment], points_filter("tiny-1", 990.0))] == [point]
    mirrored = mirror(view, tracking)
    assert mirrored.updated == 3
    assert mirrored.run == sweep
    held = client.get_run(point)
    assert held.info.run_name == key.text
    assert held.data.tags["mlflow.parentRunId"] == sweep
    assert held.data.tags["place"] == "frontier"
    assert f"(#/experiments/{experiment}/runs/{trial})" in held.data.tags["mlflow.note.content"]
    assert client.get_experiment(experiment).tags["mlflow.experimentKind"] == "custom_model_development"
    assert mirror(view, tracking).updated == 0


def test_the_link_falls_back_to_the_list_where_the_view_is_not_known_to_work(tracking, monkeypatch):

    view = make_view()
    mirrored = mirror(view, tracking)
    assert mirrored.link is not None
    assert "viewStateShareKey=" in mirrored.link
    monkeypatch.setattr("rayforget.report.mlflow.mirror.TESTED", "3.16")
    as_list = filter_link(mirrored.experiment, "tiny-1", 990.0)
    assert mirror(view, tracking).link == as_list
    assert find_link(tracking, space_name="tiny", identity="tiny-1", created=990.0) == mirrored.link


def test_a_server_that_refuses_the_view_gets_the_list(tracking, monkeypatch):
    from mlflow import MlflowClient, MlflowException

    def refuse(*args: Any) -> None:
        raise MlflowException("too long")

    monkeypatch.setattr(MlflowClient, "set_experiment_tag", refuse)
    mirrored = mirror(make_view(), tracking)
    assert mirrored.link == filter_link(mirrored.experiment, "tiny-1", 990.0)
    assert find_link(tracking, space_name="tiny", identity="tiny-1", created=990.0) == mirrored.link


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
        "import sys\nfrom test_mirror import make_view, mirror\nfrom rayforget.report.mlflow.tracking import Tracking\n"
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
        "from test_mirror import make_view\nfrom rayforget.record.store import Store\n"
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
