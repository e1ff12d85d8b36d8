"""An exported CLIP is the scored one: to the bit, by open_clip's own loading and forward pass."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from by_library import score_images
from safetensors.torch import load_file
from small_sweeps import CLASSES, Recorded, images_of
from tiny_clip import fused_clip, save_clip
from tiny_lm import VOCABULARY
from tiny_lm import tokenizer as byte_pairs

from rayforget.errors import FoundationError, RecordError, StorageError
from rayforget.export.folder import new_folder
from rayforget.export.in_memory import load_point
from rayforget.export.point_folder import Exported, export_point
from rayforget.foundations.clip.config import ClipFoundation
from rayforget.foundations.clip.exporter import ClipExporter, _origin
from rayforget.foundations.clip.model import load_clip
from rayforget.foundations.clip.scoring.scorer import ZeroShotScorer
from rayforget.frontier.points import PointKey
from rayforget.interpolate.hashing import state_hash
from rayforget.values.scores import Split

PLAIN, HEAD, TEXT = (PointKey(trial, 2, 0.5) for trial in ("0000-plain", "0001-head", "0002-text"))


def exported(found: Recorded, key: PointKey, folder: Path, **options: object) -> Exported:
    return export_point(found.sweep, found.space, found.summary, key, folder, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def with_head(pictures: Recorded, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return exported(pictures, HEAD, tmp_path_factory.mktemp("out") / "new")


def test_a_trained_head_goes_beside_the_model_and_both_score_as_recorded(
    pictures: Recorded, with_head: Exported
) -> None:
    recorded = pictures.sweep.record(HEAD.trial, HEAD.step).points[1].scores
    start = pictures.summary
    assert start.points[start.theta_0.points[0]].tasks != {name: score.value for name, score in recorded.items()}
    found = score_images(str(with_head.folder), images_of(pictures, "val"))
    assert {name: score.items.tolist() for name, score in recorded.items()} == found
    beside = with_head.folder.parent / "beside"
    beside.touch()
    assert {path.stat().st_mode for path in with_head.folder.iterdir()} == {beside.stat().st_mode}
    note = (with_head.folder / "README.md").read_text()
    assert "## The classifier" in note
    assert "classifier.safetensors" in note


def test_the_card_and_a_file_name_the_classes_and_prompts_and_the_training_set(
    pictures: Recorded, with_head: Exported
) -> None:
    asked = json.loads((with_head.folder / "prompts.json").read_text())
    for task in images_of(pictures, "val"):
        assert asked[task["name"]] == {"class_names": CLASSES, "templates": task["templates"]}
    card = (with_head.folder / "README.md").read_text()
    assert "- `dots`: `cat`, `dog`, `old car`, in `a photo of a {}.`, `the {}`" in card
    assert "- `lines`: `cat`, `dog`, `old car`, in `many a {}`" in card
    known = pictures.sweep.record("theta_0", 0).facts["data"]["tasks.dots.train"]
    (row,) = [line for line in card.splitlines() if line.startswith("| `dots` | train |")]
    assert row.endswith(f"| 18 | `{known}` |")


def test_the_hash_is_that_of_the_tensors_in_the_files(with_head: Exported) -> None:
    folder = with_head.folder
    state = load_file(folder / "open_clip_model.safetensors") | load_file(folder / "classifier.safetensors")
    assert state_hash(state) == with_head.facts.hash


def test_the_settings_say_how_it_was_scored(pictures: Recorded, with_head: Exported) -> None:
    config = json.loads((with_head.folder / "open_clip_config.json").read_text())
    own = json.loads((pictures.folder / "clip" / "open_clip_config.json").read_text())
    assert config["model_cfg"] == own["model_cfg"]
    assert config["model_cfg"]["quick_gelu"] is True
    assert config["preprocess_cfg"] | own["preprocess_cfg"] == config["preprocess_cfg"]


def test_a_point_in_memory_is_the_model_of_its_folder(pictures: Recorded, with_head: Exported) -> None:
    found = load_point(pictures.sweep, pictures.space, HEAD)
    folder = f"local-dir:{with_head.folder}"
    model, preprocess = open_clip.create_model_from_pretrained(folder)
    assert state_hash(found.model.state_dict()) == state_hash(model.state_dict())
    assert str(found.preprocess) == str(preprocess)
    assert torch.equal(found.tokenizer(["a dog"]), open_clip.get_tokenizer(folder)(["a dog"]))
    assert found.aside is not None
    weights = load_file(with_head.folder / "classifier.safetensors")
    assert torch.equal(found.aside.tensors["head.weight"], weights["head.weight"])


@pytest.mark.slow
def test_in_bf16_the_rounded_model_is_scored_again(pictures: Recorded, tmp_path: Path) -> None:
    done = exported(pictures, PLAIN, tmp_path / "new", dtype="bf16")
    state = load_file(tmp_path / "new" / "open_clip_model.safetensors")
    assert {tensor.dtype for tensor in state.values()} == {torch.bfloat16}
    scored = load_point(pictures.sweep, pictures.space, PLAIN).model.state_dict()
    assert all(torch.equal(tensor, scored[name].bfloat16()) for name, tensor in state.items())
    assert done.facts.again is not None
    for split, again in (("val", done.facts.again.val), ("test", done.facts.again.test)):
        found = score_images(str(tmp_path / "new"), images_of(pictures, split))  # in fp32, as the sweep scored
        assert {name: score.items.tolist() for name, score in again.items()} == found
    assert "## In bf16" in (tmp_path / "new" / "README.md").read_text()


def test_a_point_that_is_not_scored_on_test_is_kept_off_it_in_bf16_too(
    pictures: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = pictures.sweep.test_scores()
    monkeypatch.setattr(type(pictures.sweep), "test_scores", lambda self: {k: own[k] for k in own if k != PLAIN})
    splits, score = [], ZeroShotScorer.score

    def noting(self: ZeroShotScorer, models: Any, split: Split) -> Any:
        splits.append(split)
        return score(self, models, split)

    monkeypatch.setattr(ZeroShotScorer, "score", noting)
    done = exported(pictures, PLAIN, tmp_path / "new", dtype="bf16")
    assert done.facts.again is not None
    assert (splits, done.facts.again.test) == (["val"], None)
    assert done.facts.again.val.keys() == {"dots", "lines"}
    card = (tmp_path / "new" / "README.md").read_text()
    assert "This point was not scored on `test`." in card
    compared = card.partition("## In bf16")[2].partition("## ")[0]
    assert "| `dots` | val |" in compared
    assert "| test |" not in compared


@pytest.mark.slow
def test_a_text_tower_is_exported_with_the_image_tower(pictures: Recorded) -> None:
    moved = load_point(pictures.sweep, pictures.space, TEXT).model.state_dict()
    start = load_point(pictures.sweep, pictures.space, PointKey("theta_0", 0, 0.0)).model.state_dict()
    changed = {name.partition(".")[0] for name, tensor in moved.items() if not torch.equal(tensor, start[name])}
    assert {"visual", "transformer", "token_embedding"} <= changed
    at_0 = load_point(pictures.sweep, pictures.space, PointKey(TEXT.trial, TEXT.step, 0.0)).model.state_dict()
    assert state_hash(at_0) == state_hash(start)


def test_what_cannot_be_exported_is_refused_before_anything_is_loaded(
    pictures: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rayforget.export.point_folder.open_sweep", lambda *_: pytest.fail("loaded"))
    for key, why in (
        (HEAD._replace(trial="0009-l2"), r"has no training 0009-l2; it has: 0000-plain, 0001-head, 0002-text, theta_0"),
        (HEAD._replace(step=7), "0001-head was recorded at step 2, not at 7"),
        (HEAD._replace(alpha=0.3), r"that alpha was not scored; there are: 0.0, 0.5, 1.0"),
        (HEAD._replace(path="blocks"), r"nothing was scored on that path; there are: lerp, lines\(gamma=0.5\)"),
    ):
        with pytest.raises(RecordError, match=why):
            exported(pictures, key, tmp_path / "new")
    with pytest.raises(FoundationError, match=r"--adapter: 0001-head/2/lerp/0.5 has adapter: full"):
        exported(pictures, HEAD, tmp_path / "new", adapter=True)
    assert not (tmp_path / "new").exists()
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(StorageError, match=r"is not empty \(found mine.txt\)"):
        exported(pictures, HEAD, tmp_path)
    with pytest.raises(StorageError, match="is a file"):
        exported(pictures, HEAD, tmp_path / "mine.txt")


def test_weights_that_were_not_kept_are_said_to_be_so_with_the_way_to_make_them(
    pictures: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(pictures.sweep), "kept_weights", lambda self: {("0002-text", 2): 9})
    told = r"kept are: 0002-text/2.*trial small 0001-head --step 2 --script.*/weights/0001-head-000002.safetensors`"
    with pytest.raises(RecordError, match=told):
        exported(pictures, HEAD, tmp_path / "new")
    with pytest.raises(RecordError, match=told):
        load_point(pictures.sweep, pictures.space, HEAD)
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_fails_leaves_nothing(
    pictures: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(opened: object, weights: object, folder: Path, dtype: object) -> None:
        (folder / "half").write_text("")
        raise FoundationError("no room")

    monkeypatch.setattr("rayforget.export.point_folder.write_model", broken)
    (tmp_path / "new").mkdir()
    with pytest.raises(FoundationError, match="no room"):
        exported(pictures, HEAD, tmp_path / "new")
    assert [path.name for path in tmp_path.rglob("*")] == ["new"]


def test_a_weight_beyond_fp16_is_refused(pictures: Recorded, tmp_path: Path) -> None:
    from rayforget.export.folder import write_model
    from rayforget.export.opened import open_sweep
    from rayforget.export.point import PointWeights

    opened = open_sweep(pictures.sweep, pictures.space)
    theta = {**opened.foundation.theta_0, "logit_scale": torch.tensor(1e5)}
    with pytest.raises(FoundationError, match=r"logit_scale has a weight of 1e\+05, beyond torch.float16"):
        write_model(opened, PointWeights(theta=theta, theta_0=theta), tmp_path, torch.float16)
    assert np.isfinite(float(theta["logit_scale"]))


def test_a_file_of_weights_is_not_called_by_its_architectures_model() -> None:
    for model, told in (("builtin", "builtin"), ("ViT-B-32", "ViT-B-32"), ("local-dir:/mine/clip", "clip")):
        spec = ClipFoundation(kind="clip", model=model, pretrained="/mine/w.pt")
        assert _origin(spec) == (f"w.pt (weights for {told})", None, None)


def test_a_model_with_a_tokenizer_of_its_own_is_loaded_again_with_it(tmp_path: Path) -> None:
    """As SigLIP's are, with a bias of the logits."""
    text = {"context_length": 8, "vocab_size": VOCABULARY, "width": 16, "heads": 2, "layers": 1}
    text |= {"no_causal_mask": True, "proj_bias": True, "pool_type": "last"}
    named = {"hf_tokenizer_name": "nobody/has-it", "tokenizer_kwargs": {"clean": "canonicalize"}}
    (tmp_path / "mine").mkdir()
    byte_pairs().save(str(tmp_path / "mine" / "tokenizer.json"))
    special = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "eos_token": "</s>"}
    (tmp_path / "mine" / "tokenizer_config.json").write_text(json.dumps(special))
    spec = save_clip(tmp_path / "mine", text={**text, **named}, custom_text=True, init_logit_bias=-10)
    model = load_clip(spec, torch.device("cpu"))
    exporter = ClipExporter(SimpleNamespace(model=model), spec)  # type: ignore[arg-type]
    (tmp_path / "new").mkdir()
    again = exporter.save(model.theta_0, tmp_path / "new", torch.float32)
    assert load_clip(again, torch.device("cpu")).theta_0_hash == model.theta_0_hash
    told = ["A photo, of a Dog!", "the cat"]
    made = [(fused_clip(each), open_clip.get_tokenizer(each.model)) for each in (spec, again)]
    features = [clip.encode_text(tokenizer(told)) for clip, tokenizer in made]
    assert torch.equal(*features)
    assert not torch.equal(made[0][1](told[0]), made[0][1](told[1]))


def test_a_tokenizer_that_a_folder_would_not_get_is_refused_and_the_point_is_there_in_memory(tmp_path: Path) -> None:
    """open_clip chooses some by the model's name."""
    spec = save_clip(tmp_path / "mine")
    model = load_clip(spec, torch.device("cpu"))

    def other(texts: list[str]) -> torch.Tensor:
        return model.tokenizer(texts).flip(0)

    named = SimpleNamespace(model=replace(model, tokenizer=other))
    exporter = ClipExporter(named, spec)  # type: ignore[arg-type]
    (tmp_path / "new").mkdir()
    with pytest.raises(FoundationError, match=r"another one for a folder.*rayforget.open_sweep\(NAME\).load\(POINT\)"):
        exporter.save(model.theta_0, tmp_path / "new", torch.float32)
    assert exporter.model(model.theta_0).tokenizer is other


def test_an_empty_folder_is_written_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("here", "real"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path / "here")
    for folder in (Path("."), tmp_path / "link", tmp_path / "new"):
        with new_folder(folder) as place:
            (place / "sub").mkdir()
            (place / "sub" / "file").write_text("x")
        assert [path.name for path in folder.iterdir()] == ["sub"]
        assert (folder / "sub" / "file").read_text() == "x"
    assert (tmp_path / "link").is_symlink()


def test_of_two_exports_into_one_folder_one_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    late = new_folder(folder)
    (late.__enter__() / "mine").write_text("late")
    with new_folder(folder) as early:
        (early / "mine").write_text("early")
    with pytest.raises(StorageError, match="cannot be put in place"):
        late.__exit__(None, None, None)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert (folder / "mine").read_text() == "early"
