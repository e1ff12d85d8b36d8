"""`rayforget interpolate` and `rayforget evaluate`: models that no sweep has trained, from files to a frontier."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import open_clip
import pytest
import torch
from command_types import Run
from safetensors.torch import load_file, save_file
from tiny_clip import RESNET, save_clip
from torch import Tensor

from rayforget.interpolate.hashing import state_hash
from rayforget.interpolate.lerp import lerp
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.record.weights import load_weights
from rayforget.values.records import CheckpointRecord

QUIET = ("--set", "tracking.enabled=false", "--set", "curve.coarse=[0, 0.5, 1]", "--set", "curve.refine=1")
SOUPS = ("0002-uniform_soup", "0003-greedy_soup")
TUNED = ("0000-image", "0001-both")


@pytest.fixture
def models(tmp_path: Path) -> Callable[[str], dict[str, Tensor]]:
    """`base`, a folder; `image.pt`, tuned in its image tower and saved as open_clip_train saves; `both.safetensors`."""
    save_clip(tmp_path / "base")
    tensors = load_file(tmp_path / "base" / "open_clip_model.safetensors")
    generator = torch.Generator().manual_seed(1)
    found = {"base": tensors}
    for name, tower in (("image", "visual."), ("both", "")):
        moved = {key: 0.3 * torch.randn(tensor.shape, generator=generator) for key, tensor in tensors.items()}
        found[name] = {key: tensor + moved[key] * key.startswith(tower) for key, tensor in tensors.items()}
    torch.save({"epoch": 2, "state_dict": {f"module.{k}": t for k, t in found["image"].items()}}, tmp_path / "image.pt")
    save_file(found["both"], tmp_path / "both.safetensors")
    return found.__getitem__


@pytest.fixture
def interpolated(run: Run, folders: Path, models: Any, tmp_path: Path) -> Sweep:
    """A sweep `mine` over both of them, whose training images are gone."""
    shutil.rmtree(tmp_path / "photo" / "train")
    tuned = ("--tuned", "image.pt", "--tuned", "both.safetensors")
    code, said = run("interpolate", "--base", "base", *tuned, "--tasks", folders, "--name", "mine", *QUIET)
    assert code == 0, said
    assert "sweep mine: 2 models and 2 soups of them" in said
    assert "0003-greedy_soup of " in said, "what is in it is told, also if it is one model alone"
    assert f"0000-image: {tmp_path / 'image.pt'}" in said
    assert "On test, the tuned models (mean of 2 models) " in said
    assert "plain fine-tuning" not in said
    assert "the baseline is their mean" in said
    return Sweep.open(Store.open(str(tmp_path / "runs")), "mine")


def record(sweep: Sweep, trial: str) -> CheckpointRecord:
    return sweep.record(trial, 0)


def test_every_model_and_every_soup_is_recorded_as_a_training(
    interpolated: Sweep, models: Callable[[str], dict[str, Tensor]], run: Run, folders: Path, tmp_path: Path
) -> None:
    sweep, base = interpolated, models("base")
    assert sweep.trials() == {name: [0] for name in (*TUNED, *SOUPS, "theta_0")}
    recipes = {name: record(sweep, name).recipe for name in (*TUNED, *SOUPS)}
    places = [str(tmp_path / "image.pt"), str(tmp_path / "both.safetensors")]
    assert recipes["0000-image"] == {"method": "plain", "head": "frozen", "models": places[:1]}
    assert recipes["0001-both"] == {"method": "plain", "head": "text", "models": places[1:]}
    assert recipes["0002-uniform_soup"] == {"method": "uniform_soup", "head": "text", "models": places}
    assert set(recipes["0003-greedy_soup"]["models"]) <= set(places)
    mean = {name: ((models("image")[name].double() + models("both")[name].double()) / 2).float() for name in base}
    for trial, state in (("0000-image", models("image")), ("0001-both", models("both")), (SOUPS[0], mean)):
        assert record(sweep, trial).theta_1_hash == state_hash(state)
        kept = load_weights(sweep.store, trial, 0)
        assert kept.keys() == {name for name in base if not torch.equal(base[name], state[name])}
    tested = {key.trial for key in sweep.test_scores()}
    assert {"theta_0", *TUNED} <= tested
    _scores_of_a_point_are_those_of_its_file_alone(sweep, models, run, folders, tmp_path)


def _scores_of_a_point_are_those_of_its_file_alone(
    sweep: Sweep, models: Callable[[str], dict[str, Tensor]], run: Run, folders: Path, tmp_path: Path
) -> None:
    """`evaluate` of a file that somebody else interpolated."""
    save_file(lerp(models("base"), models("both"), 0.5), tmp_path / "half.safetensors")
    shutil.rmtree(tmp_path / "runs" / "cache")
    text = folders.read_text().replace("model: builtin", "model: local-dir:base")
    folders.write_text(text)
    code, said = run("evaluate", "half.safetensors", "--tasks", folders, "--split", "both", "--json")
    assert code == 0
    found = json.loads(said)
    (point,) = (point for point in record(sweep, "0001-both").points if point.alpha == 0.5)
    for task, score in point.scores.items():
        assert found["val"]["tasks"][task]["score"] == score.value
    assert found["val"]["speciality"] == pytest.approx(point.scores["photo"].value)
    assert found["test"]["tasks"]["sketch"]["items"] == 6
    code, said = run("evaluate", "half.safetensors", "--tasks", folders)
    assert code == 0
    assert "test, %" not in said
    assert f"{100 * found['val']['generality']:.1f} ± {100 * found['val']['generality_error']:.1f}" in said


def test_it_is_a_sweep_to_every_other_command_and_a_resume_makes_what_is_missing(
    interpolated: Sweep, run: Run, tmp_path: Path
) -> None:
    sweep = interpolated
    code, said = run("frontier", "mine")
    assert code == 0
    assert "uniform_soup" in said
    code, said = run("status", "mine")
    assert code == 0
    assert "4 of 4 models done" in said
    assert "finished; look at it" in said
    assert " 4 " in run("list")[1]
    before = {name: record(sweep, name) for name in (*TUNED, *SOUPS)}
    for place in ("points/0003-greedy_soup-000000.json", "points/0001-both-000000.json", "test"):
        sweep.store.delete(place)
    assert "2 of 4 models done" in run("status", "mine")[1]
    code, said = run("sweep", "--resume", "mine", "--trials", "8")
    assert code == 2
    assert said == (
        "sweep mine scores models that were given (rayforget interpolate) and trains none, found --set "
        "search.trainings=8; leave it out"
    )
    code, said = run("sweep", "--resume", "mine")
    assert code == 0, said
    for name, old in before.items():
        new = record(sweep, name)
        assert (new.theta_1_hash, new.recipe, _values(new)) == (old.theta_1_hash, old.recipe, _values(old))
    assert "finished; look at it" in run("status", "mine")[1]
    assert run("rm", "mine", "--yes")[0] == 0
    assert not (tmp_path / "runs" / "mine").exists()


def _values(found: CheckpointRecord) -> list[Any]:
    return [(point.spot, {task: score.value for task, score in point.scores.items()}) for point in found.points]


def test_what_cannot_be_interpolated_is_refused_and_leaves_no_sweep(
    run: Run, folders: Path, models: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*tuned: str) -> str:
        options = [part for each in tuned for part in ("--tuned", each)]
        code, said = run("interpolate", "--base", "base", *options, "--tasks", folders, *QUIET)
        assert code == 2
        return said.splitlines()[-1]

    save_clip(tmp_path / "other", embed_dim=16)
    assert "is not of the base's architecture" in refused("other")
    assert "2 tensors of other shapes: text_projection has shape (16, 16), the base's (16, 24)" in refused("other")
    narrow = load_file(tmp_path / "other" / "open_clip_model.safetensors")
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in narrow.items()}}, tmp_path / "narrow.pt")
    with monkeypatch.context() as without_data:
        without_data.setattr("rayforget.commands.interpolate.check_data", lambda *_, **__: pytest.fail("read data"))
        without_data.setattr("rayforget.commands.evaluate.check_data", lambda *_, **__: pytest.fail("read data"))
        for place in ("other", "narrow.pt"):
            assert "text_projection has shape (16, 16), the base's (16, 24)" in refused(place)
        folders.write_text(folders.read_text().replace("model: builtin", "model: local-dir:base"))
        code, said = run("evaluate", "narrow.pt", "--tasks", folders)
        assert code == 2
        assert "text_projection" in said
    (tmp_path / "empty").mkdir()
    code, said = run("interpolate", "--base", "empty", "--tuned", "image.pt", "--tasks", folders)
    assert (code, said.startswith("--base empty: ")) == (2, True)
    assert "open_clip_config.json is missing" in said
    assert "foundation." not in said
    assert "local-dir:" not in said
    assert "local-dir:" not in (told := refused("empty"))
    assert told.startswith("--tuned empty: ")
    torch.save(SimpleNamespace(model=torch.nn.Linear(2, 2)), tmp_path / "whole.pt")
    assert "save its weights alone" in refused("whole.pt")
    assert refused("base").endswith("holds the base's own weights, so there is no line between them")
    assert refused("no/such.pt").startswith("--tuned no/such.pt: found 'no/such.pt', and there is no such folder")
    assert "no sweep" in run("list")[1]


@pytest.mark.slow
def test_it_is_mirrored_and_exported_as_any_sweep_is_and_open_clip_reads_the_folder(
    run: Run, folders: Path, models: Callable[[str], dict[str, Tensor]], tmp_path: Path
) -> None:
    code, said = run("interpolate", "--base", "base", "--tuned", "image.pt", "--tasks", folders, "--name", "mine")
    assert code == 0, said
    assert "MLflow sqlite" in said
    assert ", the tuned model " in said
    assert "plain fine-tuning" not in said
    assert "0 runs new, 0 changed" in run("mirror", "mine")[1]
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    (experiment,) = [each for each in client.search_experiments() if each.name == "small"]
    runs = client.search_runs([experiment.experiment_id])
    (trial,) = [each for each in runs if each.data.tags.get("mlflow.runName") == "0000-image"]
    assert trial.data.params["method"] == "plain"
    assert trial.data.params["models"] == str(tmp_path / "image.pt")
    code, said = run("export", "mine", "out", "--point", "0000-image/0/lerp/0.5")
    assert code == 0, said
    theta = open_clip.create_model(f"local-dir:{tmp_path / 'out'}", require_pretrained=True).state_dict()
    expected = lerp(models("base"), models("image"), 0.5)
    assert all(torch.equal(theta[name], expected[name]) for name in expected)
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"a model that was trained elsewhere.\n\n- `…/{tmp_path.name}/image.pt`" in card
    code, said = run("trial", "mine", "0000-image", "--script")
    assert code == 2
    assert said == f"0000-image was not trained here but given (rayforget interpolate): {tmp_path / 'image.pt'}"
    assert "models: " in run("trial", "mine", "0000-image")[1]


@pytest.mark.slow
def test_statistics_of_batch_norm_that_were_tuned_are_said_to_be_interpolated(
    run: Run, folders: Path, tmp_path: Path
) -> None:
    save_clip(tmp_path / "base", vision=RESNET)
    tensors = load_file(tmp_path / "base" / "open_clip_model.safetensors")
    moved = {name: tensor + 0.1 if name.endswith("running_mean") else tensor for name, tensor in tensors.items()}
    moved = {name: tensor + 1 if name.endswith("num_batches_tracked") else tensor for name, tensor in moved.items()}
    save_file(moved, tmp_path / "tuned.safetensors")
    code, said = run("interpolate", "--base", "base", "--tuned", "tuned.safetensors", "--tasks", folders, *QUIET)
    assert code == 0, said
    assert "0000-tuned: BatchNorm's statistics were tuned too, and are interpolated like weights" in said


@pytest.mark.slow
def test_equal_weights_are_scored_once(run: Run, folders: Path, models: Any, tmp_path: Path) -> None:
    """A model beside its copy: both soups of them are that model again."""
    shutil.copy(tmp_path / "image.pt", tmp_path / "copy.pt")
    tuned = ("--tuned", "image.pt", "--tuned", "copy.pt")
    code, said = run("interpolate", "--base", "base", *tuned, "--tasks", folders, "--name", "mine", *QUIET)
    assert code == 0, said
    sweep = Sweep.open(Store.open(str(tmp_path / "runs")), "mine")
    first, *others = (record(sweep, name) for name in ("0000-image", "0001-copy", *SOUPS))
    assert "evaluate" in first.seconds
    for other in others:
        assert not other.seconds
        assert (_values(other), other.theta_1_hash) == (_values(first), first.theta_1_hash)
        assert load_weights(sweep.store, other.trial, 0).keys() == set(first.changed)
    assert others[-1].recipe["models"] == [str(tmp_path / name) for name in ("image.pt", "copy.pt")]
