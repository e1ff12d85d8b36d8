"""A space file becomes checked, frozen values, whatever folder it is read in, with a place for each of them."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from rayforget.record.cache_folder import cache_folder
from rayforget.record.storage.store import Store
from rayforget.space.file.load import load_space
from rayforget.space.models import Space


def test_numbers_in_exponent_notation_are_numbers(small_space: Callable[..., Path]) -> None:
    loaded = load_space(small_space({30: "    learning_rate: 1e-3"}))
    assert loaded.plain.recipe(seed=0).learning_rate == 1e-3


def test_where_names_the_line_of_a_key_or_of_the_nearest_above(small_space: Callable[..., Path]) -> None:
    path = small_space()
    loaded = load_space(path)
    assert loaded.where("tasks.sketch.val") == f"{path}:15"
    assert loaded.where("methods.l2.penalties.l2.strength") == f"{path}:27"
    assert loaded.where("storage.path") == f"{path}:1"


def test_the_text_is_kept_as_it_was(small_space: Callable[..., Path]) -> None:
    path = small_space(add="# a remark\n")
    loaded = load_space(path, ["search.trainings=3"])
    assert loaded.text == path.read_text()
    assert loaded.overrides == ("search.trainings=3",)


def test_nothing_of_a_space_can_be_changed(small_space: Callable[..., Path]) -> None:
    loaded = load_space(small_space())
    with pytest.raises(ValidationError, match="frozen"):
        loaded.space.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError, match="cannot be changed"):
        loaded.space.tasks["more"] = loaded.space.tasks["shapes"]
    with pytest.raises(TypeError, match="cannot be changed"):
        loaded.space.recipe["learning_rate"]["low"] = 1.0
    with pytest.raises(TypeError, match="cannot be changed"):
        loaded.space.methods["l2"]["penalties"][0].update(strength=1.0)
    with pytest.raises(TypeError, match="cannot be changed"):
        loaded.methods[2].constants["penalties"][0].pop("kind")
    hash(loaded.space)


def test_a_space_survives_json_and_pickle(small_space: Callable[..., Path]) -> None:
    loaded = load_space(small_space())
    assert Space.model_validate_json(loaded.space.model_dump_json()) == loaded.space
    assert Space.model_validate(loaded.space.model_dump(exclude_unset=True)) == loaded.space
    assert pickle.loads(pickle.dumps(loaded)) == loaded


def test_local_paths_become_absolute(
    small_space: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    path = small_space(
        {
            2: "foundation: {kind: clip, model: 'local-dir:../model'}",
            8: "    train: {kind: folder, path: data/photo}",
            9: "    val: {kind: webdataset, shards: 'data/{000..003}.tar'}",
            10: "    test: {kind: dataset, path: here, split: test}",
            15: "    val: {kind: dataset, path: owner/name, split: a}",
            16: "    test: {kind: webdataset, shards: '/data/*.tar'}",
        },
        add="resources: {cache: ~/cache}\nstorage: {path: s3://bucket/runs}\n",
    )
    monkeypatch.chdir(tmp_path)
    space = load_space(path).space
    tasks = space.model_dump(mode="json")["tasks"]
    assert space.foundation.model == f"local-dir:{tmp_path.parent / 'model'}"
    assert tasks["shapes"]["train"]["path"] == str(tmp_path / "data/photo")
    assert tasks["shapes"]["val"]["shards"] == str(tmp_path / "data/{000..003}.tar")
    assert tasks["shapes"]["test"]["path"] == str(tmp_path / "here")
    assert tasks["sketch"]["val"]["path"] == "owner/name"
    assert tasks["sketch"]["test"]["shards"] == "/data/*.tar"
    assert str(space.resources.cache) == os.path.expanduser("~/cache")
    assert space.storage.path == "s3://bucket/runs"


def test_a_remote_storage_needs_no_word_of_the_nodes_caches(
    small_space: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setattr(Store, "open", lambda _: pytest.fail("the bucket was asked"))
    space = load_space(small_space(), ["storage.path=s3://bucket/runs"]).space
    assert space.resources.cache is None
    assert cache_folder(space) == tmp_path / "home" / ".cache" / "rayforget"


def test_the_default_storage_lies_in_the_folder_of_reading(
    small_space: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_space()
    monkeypatch.chdir(tmp_path)
    assert load_space(path).space.storage.path == str(tmp_path / "runs")


def test_a_tag_is_needed_for_a_name_alone(small_space: Callable[..., Path]) -> None:
    path = small_space({2: "foundation: {kind: clip, model: ViT-B-16, pretrained: openai}"})
    assert load_space(path).space.foundation.pretrained == "openai"


@pytest.mark.parametrize("written", ["weights.pt", "./weights", "sub/weights", "../weights.safetensors"])
def test_a_file_of_weights_stays_the_same_file_in_another_folder(
    small_space: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    path = small_space({2: f"foundation: {{kind: clip, model: ViT-B-16, pretrained: {written}}}"})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    space = load_space(path).space
    assert space.foundation.pretrained == os.path.normpath(tmp_path / written)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert Space.model_validate_json(space.model_dump_json()) == space


def test_reading_a_space_needs_neither_torch_nor_ray_nor_optuna(small_space: Callable[..., Path]) -> None:
    code = (
        "import sys; from pathlib import Path; from rayforget.space.file.load import load_space;"
        "import rayforget.space.file.notes, rayforget.space.file.schema;"
        "import rayforget.space.shipped, rayforget.space.seeds;"
        f"load_space(Path({str(small_space())!r}));"
        "sys.exit(', '.join({'torch', 'ray', 'optuna', 'numpy', 'open_clip'} & sys.modules.keys()) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
