"""A fault of the foundation is one message with its line, before anything is started or written."""

import shutil
import subprocess
import sys
from pathlib import Path

import golden_text
import pytest
from tiny_clip import save_clip
from tiny_lm import save_lm
from typer.testing import CliRunner

from rayforget.cli import app
from rayforget.errors import SpaceError
from rayforget.planning.foundation_check import check_foundation, check_gpus
from rayforget.space.file.load import load_space
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
    return "nothing"


HEAD = CLIP.replace("epochs: 1", "epochs: 1, head: text")
MODELS = {
    "a folder that is not there": (CLIP, "local-dir:/no/such/folder", "null"),
    "no model of open_clip": (CLIP, "ViT-B-61\n  pretrained: openai", "null"),
    "no tag of the model": (CLIP, "ViT-B-16\n  pretrained: opanai", "null"),
    "a file of weights that is not there": (CLIP, "ViT-B-16\n  pretrained: /no/weights.pt", "null"),
    "a CLIP without weights": (CLIP, "local-dir:DIR/empty", "null"),
    "a CLIP": (CLIP, "local-dir:DIR/clip", "null"),
    "targets in a CLIP's image tower": (CLIP, "local-dir:DIR/clip", "[c_fc]"),
    "a target in the frozen text tower": (CLIP, "local-dir:DIR/clip", "[c_fc, token_embedding]"),
    "targets where both towers are trained": (HEAD, "local-dir:DIR/clip", "[q_proj]"),
    "a target in neither tower": (HEAD, "local-dir:DIR/clip", "[q_proj, x]"),
    "a preset in a CLIP": (CLIP, "local-dir:DIR/clip", "[attention], use_dora: true, modules_to_save: [ln_post]"),
    "a layer to save in the frozen text tower": (CLIP, "local-dir:DIR/clip", "[mlp], modules_to_save: [ln_final]"),
    "a CLIP on the hub, left to the workers": (CLIP, "hf-hub:nobody/nothing", "[nothing]"),
    "a language model that is not there": (TEXT, "/no/such/folder", "null"),
    "targets in a language model": (TEXT, "DIR/lm", "[q_proj]"),
    "a target in no language model": (TEXT, "DIR/lm", "[nothing]"),
    "layers to save in a language model": (TEXT, "DIR/lm", "null, modules_to_save: [embed_tokens, embeddings]"),
    "a layer both adapted and saved": (TEXT, "DIR/lm", "[k_proj], modules_to_save: [self_attn]"),
    "no path": (TEXT, "''", "null"),
    "a folder as of a CLIP": (TEXT, "local-dir:/tmp", "null"),
    "a name with too many parts": (TEXT, "a/b/c", "null"),
    "a name with a space": (TEXT, "a b", "null"),
    "a short name on the hub": (TEXT, "gpt2", "null"),
    "a language model on the hub, left to the workers": (TEXT, "nobody/nothing", "[nothing]"),
}
BROKEN = {
    "a config that is no JSON": ("config.json", "{"),
    "a config that is no object": ("config.json", "3"),
    "weights without bytes": ("model.safetensors", ""),
    "a config that transformers refuses, left to the workers": (
        "config.json",
        '{"model_type": "opt", "hidden_size": "wide"}',
    ),
}


def test_what_is_said_of_a_foundation_is_as_it_is_kept(tmp_path: Path) -> None:
    save_clip(tmp_path / "clip")
    save_clip(tmp_path / "empty")
    (tmp_path / "empty" / "open_clip_model.safetensors").unlink()
    save_lm(tmp_path / "lm", "opt")
    said = {}
    for case, (text, model, targets) in MODELS.items():
        said[case] = told(tmp_path, text, model.replace("DIR", str(tmp_path)), targets)
    for number, (case, (file, content)) in enumerate(BROKEN.items()):
        folder = tmp_path / f"lm{number}"
        shutil.copytree(tmp_path / "lm", folder)
        (folder / file).write_text(content)
        said[case] = told(tmp_path, TEXT, str(folder))
        assert told(tmp_path, TEXT, str(folder), "[q_proj]") == said[case]
    shown = {case: text.replace(str(tmp_path), "DIR").splitlines() for case, text in said.items()}
    golden_text.compare("foundations", shown)


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
        "import sys; from pathlib import Path; from rayforget.space.file.load import load_space; "
        "from rayforget.planning.foundation_check import check_foundation; "
        f"check_foundation(load_space(Path({str(quickstart())!r}))); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
