"""A sweep goes on only with the training data, the classes, the prompts and the configuration of its start."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torchvision
import yaml
from export.small_sweeps import NAME, clip_space, language_space
from tiny_lm import save_lm

from rayforget.errors import RecordError
from rayforget.record.objects import encode_checkpoint
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.space.file.load import load_space
from rayforget.trial.equipment import Equipment
from rayforget.trial.equipment_spec import EquipmentSpec

Open = Callable[[], Equipment]


def started(folder: Path, tree: dict[str, Any]) -> Open:
    """A sweep with theta_0's record alone; the function opens a further worker's equipment on it."""
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump(tree))
    space = load_space(path, (f"storage.path={folder / 'runs'}",)).space
    info = SweepInfo(name=NAME, space_name=space.name, created=1.7e9)
    Sweep.create(Store.open(space.storage.path), info, space_text="", space=space.model_dump(mode="json"))

    def again() -> Equipment:
        return Equipment.open(EquipmentSpec(space=space, sweep_name=NAME))

    again()
    return again


@pytest.fixture
def pictures(tmp_path: Path) -> Open:
    return started(tmp_path, clip_space(tmp_path, {"full": {}}))


@pytest.fixture
def texts(tmp_path: Path) -> Open:
    save_lm(tmp_path / "model", "llama")
    return started(tmp_path, language_space(tmp_path, tmp_path / "model", {"full": {}}))


def test_items_of_val_copied_into_train_are_refused(pictures: Open, tmp_path: Path) -> None:
    for image in (tmp_path / "dots" / "val").rglob("*.png"):
        place = tmp_path / "dots" / "train" / image.relative_to(tmp_path / "dots" / "val")
        shutil.copy(image, place.with_name(f"new-{image.name}"))
    with pytest.raises(RecordError, match=r"^tasks\.dots\.train does not hold the items and labels that sweep small"):
        pictures()


def test_texts_to_learn_that_changed_are_refused(texts: Open, tmp_path: Path) -> None:
    texts()
    path = tmp_path / "cures-train.jsonl"
    rows = path.read_text().splitlines()
    path.write_text("\n".join([*rows[1:], rows[0]]))
    with pytest.raises(RecordError, match=r"^tasks\.cures\.train does not hold the items"):
        texts()


def test_class_folders_that_were_renamed_are_refused(pictures: Open, tmp_path: Path) -> None:
    """The order stays, so contents and labels are equal; the prompts are not."""
    for split in ("val", "test"):
        (tmp_path / "lines" / split / "dog").rename(tmp_path / "lines" / split / "dogs")
    with pytest.raises(RecordError, match=r"the classes or prompts of tasks\.lines \(.*\(what changed: tasks\.lines\)"):
        pictures()


@pytest.mark.parametrize("part", ["model_cfg", "preprocess_cfg"])
def test_a_configuration_of_the_same_weights_that_was_edited_is_refused(
    pictures: Open, tmp_path: Path, part: str
) -> None:
    path = tmp_path / "clip" / "open_clip_config.json"
    config = json.loads(path.read_text())
    config[part] |= {"quick_gelu": True} if part == "model_cfg" else {"mean": [0.5, 0.5, 0.5]}
    path.write_text(json.dumps(config))
    with pytest.raises(RecordError, match="the model of sweep small is run otherwise than when it was started"):
        pictures()


def test_an_activation_of_a_language_model_that_was_edited_is_refused(texts: Open, tmp_path: Path) -> None:
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"hidden_act": "gelu", "rms_norm_eps": 0.1}))
    with pytest.raises(RecordError, match="is run otherwise than when it was started"):
        texts()


def test_moved_and_rewritten_files_of_equal_content_are_the_same(
    pictures: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that a newer library, or a touched file, changes by itself counts."""
    for image in tmp_path.rglob("*.png"):
        image.write_bytes(image.read_bytes())
    monkeypatch.setattr(torchvision, "__version__", "99")
    pictures()


def test_a_record_without_these_facts_goes_on(pictures: Open, tmp_path: Path) -> None:
    """As versions before them wrote it."""
    sweep = Sweep.open(Store.open(tmp_path / "runs"), NAME)
    record = sweep.record("theta_0", 0)
    assert set(record.facts) == {"runs_as", "data"}
    (file,) = (tmp_path / "runs" / NAME / "points").glob("theta_0-*.json")
    file.unlink()
    file.write_bytes(encode_checkpoint(replace(record, facts={})))
    for split in ("val", "test"):
        (tmp_path / "lines" / split / "dog").rename(tmp_path / "lines" / split / "dogs")
    assert re.fullmatch(r"[0-9a-f]{32}", pictures().data["tasks.lines"])
