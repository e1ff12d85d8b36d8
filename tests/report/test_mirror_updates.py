"""What MLflow holds already, of the same sweep in another state or by another version, is brought up to date."""

from dataclasses import replace
from typing import Any

import pytest
from mirrored import contents, make_view
from synthetic_sweep import ROLES

from rayforget.frontier.gather import gather
from rayforget.report.mlflow.mirror import find_link, mirror, newest_links
from rayforget.report.mlflow.saved_view import filter_link, points_filter

pytestmark = pytest.mark.slow  # MLflow's import and a new database take seconds


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
    held = newest_links(tracking)  # the store's own other sweep, in an experiment of its own, has that name too
    assert [sweep for sweep, _ in held] == ["tiny-1", "tiny-1"]
    assert after.link in dict.fromkeys(link for _, link in held)
    assert newest_links(tracking, identity="another") == []
    assert find_link(tracking, space_name="tiny", identity="tiny-1", created=990.0) == after.link


def test_what_an_earlier_version_mirrored_is_found_and_brought_up_to_date(tracking):
    """Points were children of their trials then, with other names and no colours, and facts were metrics."""
    from mlflow import MlflowClient

    view = make_view()
    assert view.frontier is not None
    client = MlflowClient(tracking_uri=tracking.uri)
    experiment = client.create_experiment("tiny", artifact_location=tracking.artifacts)

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
    assert newest_links(tracking, identity="tiny-1") == [("tiny-1", mirrored.link)]
    assert find_link(tracking, space_name="tiny", identity="tiny-1", created=990.0) == mirrored.link
