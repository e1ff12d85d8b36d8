"""What MLflow holds of a sweep beside its runs: models, the registry's champion, data sets."""

import re
from dataclasses import replace

import pytest
from mirrored import make_view

from rayforget.report.mlflow.data_used import DataUsed
from rayforget.report.mlflow.mirror import mirror
from rayforget.report.mlflow.tracking import MirrorError

pytestmark = pytest.mark.slow  # MLflow's import and a new database take seconds


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
    training, link = re.findall(r"\[(.*)\]\(#(/experiments/.*)\)", champion.description)[0]
    assert client.get_run(link.rpartition("/")[2]).info.run_name == training == view.frontier[0].trial
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
