"""A fault of the foundation is one message with its line, before anything is started or written."""

import subprocess
import sys
from pathlib import Path

import pytest
from tiny_clip import save_clip
from tiny_lm import save_lm
from typer.testing import CliRunner

from rayforget.cli import app
from rayforget.errors import SpaceError
from rayforget.planning.foundation_check import check_foundation, check_gpus
from rayforget.space.load import load_space
from rayforget.space.parts import Resources
from rayforget.space.shipped import quickstart

CLIP = """\
name: small
foundation:
  kind: clip
  model: MODEL
tasks:
  photo:
    kind: zero_shot
    role: speciality
    templates: ["a {}"]
    train: {kind: world, style: photo, split: train, count: 8}
    val: {kind: world, style: photo, split: val, count: 8}
    test: {kind: world, style: photo, split: test, count: 8}
  sketch:
    kind: zero_shot
    role: generality
    group: distribution
    val: {kind: world, style: sketch, split: val, count: 8}
    test: {kind: world, style: sketch, split: test, count: 8}
recipe: {learning_rate: 1e-3, epochs: 1, batch_size: 4}
methods:
  lora:
    adapter: {kind: lora, rank: 2, targets: TARGETS}
plain: {}
search: {trainings: 1, seed: 0}
"""
TEXT = """\
name: small
foundation:
  kind: causal_lm
  model: MODEL
tasks:
  medicine:
    kind: multiple_choice
    role: speciality
    train: {kind: language, part: medicine, split: train, count: 6}
    val: {kind: language, part: medicine, split: val, count: 4}
    test: {kind: language, part: medicine, split: test, count: 3}
  common:
    kind: multiple_choice
    role: generality
    group: common_sense
    val: {kind: language, part: commonsense, split: val, count: 8}
    test: {kind: language, part: commonsense, split: test, count: 9}
recipe: {learning_rate: 1e-3, epochs: 1, batch_size: 2}
methods:
  lora:
    adapter: {kind: lora, rank: 2, targets: TARGETS}
plain: {}
search: {trainings: 1, seed: 0}
"""


def told(folder: Path, text: str, model: str, targets: str = "null") -> str:
    """The check's message; empty if it finds nothing wrong."""
    (folder / "space.yaml").write_text(text.replace("MODEL", model).replace("TARGETS", targets))
    try:
        check_foundation(load_space(folder / "space.yaml"))
    except SpaceError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("text", "model", "line", "message"),
    [
        (CLIP, "local-dir:/no/such/folder", 4, "foundation.model local-dir:/no/such/folder: no such folder"),
        (CLIP, "ViT-B-61\n  pretrained: openai", 4, "foundation.model 'ViT-B-61' is no model of open_clip"),
        (CLIP, "ViT-B-16\n  pretrained: opanai", 5, "foundation.pretrained 'opanai' is no tag"),
        (CLIP, "ViT-B-16\n  pretrained: /no/weights.pt", 5, "foundation.pretrained /no/weights.pt: no such file"),
        (TEXT, "/no/such/folder", 4, "foundation.model: no folder /no/such/folder"),
    ],
)
def test_a_model_that_is_not_there_is_told_with_its_line(
    tmp_path: Path, text: str, model: str, line: int, message: str
) -> None:
    assert told(tmp_path, text, model).startswith(f"{tmp_path}/space.yaml:{line}: {message}")


def test_weights_that_are_missing_are_told(tmp_path: Path) -> None:
    model = save_clip(tmp_path / "model").model
    assert told(tmp_path, CLIP, model) == ""
    (tmp_path / "model" / "open_clip_model.safetensors").unlink()
    assert "space.yaml:4: foundation.model local-dir:" in (found := told(tmp_path, CLIP, model))
    assert "no weights" in found


@pytest.mark.parametrize(("head", "right", "wrong"), [("frozen", "c_fc", "token_embedding"), ("text", "q_proj", "x")])
def test_a_target_that_matches_no_layer_is_told(tmp_path: Path, head: str, right: str, wrong: str) -> None:
    model = save_clip(tmp_path / "model").model
    text = CLIP.replace("epochs: 1", f"epochs: 1, head: {head}")
    assert told(tmp_path, text, model, f"[{right}]") == ""
    found = told(tmp_path, text, model, f"[{right}, {wrong}]")
    assert found.startswith(f"{tmp_path}/space.yaml:22: methods.lora: adapter.targets names '{wrong}'")
    assert "q_proj" in found
    assert ("text tower" in found) == (head == "frozen")


def test_a_target_that_matches_no_layer_of_a_language_model_is_told(tmp_path: Path) -> None:
    model = str(save_lm(tmp_path / "model", "opt"))
    assert told(tmp_path, TEXT, model, "[q_proj]") == ""
    assert "space.yaml:21: methods.lora: adapter.targets names 'nothing'" in told(tmp_path, TEXT, model, "[nothing]")
    assert "text tower" not in told(tmp_path, TEXT, model, "[nothing]")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", "{", "config.json is no JSON"),
        ("config.json", "3", "config.json holds int, expected a JSON object"),
        ("model.safetensors", "", "model.safetensors holds no bytes"),
    ],
)
@pytest.mark.parametrize("targets", ["null", "[q_proj]"])
def test_a_broken_folder_of_a_language_model_is_told(
    tmp_path: Path, file: str, content: str, message: str, targets: str
) -> None:
    model = save_lm(tmp_path / "model", "opt")
    (model / file).write_text(content)
    found = told(tmp_path, TEXT, str(model), targets)
    assert found.startswith(f"{tmp_path}/space.yaml:4: foundation.model: ")
    assert message in found


def test_a_config_that_transformers_refuses_leaves_the_targets_to_the_workers(tmp_path: Path) -> None:
    model = save_lm(tmp_path / "model", "opt")
    (model / "config.json").write_text('{"model_type": "opt", "hidden_size": "wide"}')
    assert told(tmp_path, TEXT, str(model), "[q_proj]") == ""


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("''", "found no path"),
        ("local-dir:/tmp", "write the folder alone: /tmp"),
        ("a/b/c", "neither a folder nor a name"),
        ("a b", "neither a folder nor a name"),
        ("gpt2", ""),
    ],
)
def test_a_name_that_no_language_model_can_have_is_told(tmp_path: Path, model: str, message: str) -> None:
    found = told(tmp_path, TEXT, model)
    assert message in found
    assert bool(found) == bool(message)


def test_a_model_on_the_hub_is_left_to_the_workers(tmp_path: Path) -> None:
    assert told(tmp_path, CLIP, "hf-hub:nobody/nothing", "[nothing]") == ""
    assert told(tmp_path, TEXT, "nobody/nothing", "[nothing]") == ""


def test_nothing_is_written_and_the_code_is_two(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(CLIP.replace("MODEL", "local-dir:/no/x").replace("TARGETS", "null"))
    for command in ("sweep", "check"):
        options = ["--storage", str(tmp_path / "runs")] if command == "sweep" else []
        done = CliRunner().invoke(app, [command, str(tmp_path / "space.yaml"), *options])
        assert isinstance(done.exception, SpaceError), done.output
        assert "space.yaml:4" in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["space.yaml"]


def test_gpus_that_are_not_there_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    for there, asked, workers, fits in ((0, 0.0, 1, True), (0, 1.0, 1, False), (1, 0.5, 1, True), (2, 1.0, 3, False)):
        monkeypatch.setattr(torch.cuda, "device_count", lambda there=there: there)
        resources = Resources(gpus_per_worker=asked, workers_per_slot=workers)
        if fits:
            check_gpus(resources)
        else:
            with pytest.raises(
                SpaceError, match=rf"^space.yaml:9: resources.gpus_per_worker: found {asked:g} .*--addr"
            ):
                check_gpus(resources, "space.yaml:9: ")


def test_the_quickstart_is_checked_without_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from rayforget.space.load import load_space; "
        "from rayforget.planning.foundation_check import check_foundation; "
        f"check_foundation(load_space(Path({str(quickstart())!r}))); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
