"""CLIP models as a command line names them: folders, files of weights however they were saved, and what is refused."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_clip import TEXT, VIT, fused_clip, save_clip
from torch import Tensor

from rayforget.errors import FoundationError
from rayforget.foundations.clip.config import ClipFoundation
from rayforget.foundations.clip.kind import ClipKind
from rayforget.foundations.clip.model import load_clip
from rayforget.foundations.clip.names import part_of
from rayforget.foundations.clip.state_file import wrapper_of
from rayforget.foundations.protocol import State
from rayforget.interpolate.hashing import CHANGED_FROM, state_hash

CPU = torch.device("cpu")
FEW_WORDS = {**TEXT, "vocab_size": 64}
KIND = ClipKind()
BUILTIN = ClipFoundation(kind="clip", model="builtin")


@pytest.fixture
def base(tmp_path: Path) -> ClipFoundation:
    return save_clip(tmp_path / "base", text=FEW_WORDS)


@pytest.fixture
def tuned(tmp_path: Path) -> dict[str, Tensor]:
    """The tensors of another model of the base's architecture."""
    save_clip(tmp_path / "tuned", text=FEW_WORDS, seed=1)
    return load_file(tmp_path / "tuned" / "open_clip_model.safetensors")


def theta(spec: ClipFoundation) -> State:
    return load_clip(spec, CPU).theta_0


def test_names_of_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("w.pt").touch()
    assert KIND.named("builtin", BUILTIN) == BUILTIN
    assert KIND.named("folder", BUILTIN).model == f"local-dir:{tmp_path}/folder"
    assert KIND.named("local-dir:folder", BUILTIN).model == f"local-dir:{tmp_path}/folder"
    assert KIND.named("hf-hub:a/b", BUILTIN).model == "hf-hub:a/b"
    tagged = KIND.named("ViT-B-16:openai", BUILTIN)
    assert (tagged.model, tagged.pretrained) == ("ViT-B-16", "openai")
    file = str(tmp_path / "w.pt")
    beside_a_folder = KIND.named("w.pt", BUILTIN)
    assert (beside_a_folder.model, beside_a_folder.pretrained, beside_a_folder.like) == ("builtin", file, None)
    of_a_tag = KIND.tuned("w.pt", tagged)
    assert (of_a_tag.model, of_a_tag.pretrained, of_a_tag.like) == ("ViT-B-16", file, "openai")
    of_a_file = of_a_tag.model_copy(update={"like": None, "quick_gelu": True, "mean": (0.1, 0.2, 0.3)})
    assert KIND.tuned("w.pt", of_a_file) == of_a_file
    for wrong in ("folder/", "no/such.pt", "ViT-B-16"):
        if not Path(wrong).exists():
            with pytest.raises(FoundationError, match="there is no such folder or file; give a folder in open_clip's"):
                KIND.named(wrong, BUILTIN)


@pytest.mark.parametrize(
    ("prefix", "ending"),
    [("", ".safetensors"), ("module.", ".pt"), ("module._orig_mod.", ".pt"), ("image_encoder.model.", ".pt")],
)
def test_weights_are_read_as_they_were_saved(
    prefix: str, ending: str, base: ClipFoundation, tuned: dict[str, Tensor], tmp_path: Path
) -> None:
    file = tmp_path / f"epoch_1{ending}"
    state = {prefix + name: tensor for name, tensor in tuned.items()}
    if ending == ".pt":  # as open_clip's training saves a checkpoint
        optimizer = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-3}]}
        torch.save({"epoch": 1, "name": "run", "state_dict": state, "optimizer": optimizer}, file)
    else:
        save_file(state, file)
    found = KIND.weights(KIND.tuned(str(file), base), theta(base))
    expected = fused_clip(ClipFoundation(kind="clip", model=f"local-dir:{tmp_path / 'tuned'}")).state_dict()
    assert found.keys() == theta(base).keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_a_file_beside_a_folder_gets_that_folders_preprocessing(tmp_path: Path, tuned: dict[str, Tensor]) -> None:
    spec = save_clip(tmp_path / "grey", text=FEW_WORDS, preprocess={"mean": [0.1, 0.2, 0.3], "resize_mode": "squash"})
    save_file(tuned, tmp_path / "w.safetensors")
    model = load_clip(KIND.tuned(str(tmp_path / "w.safetensors"), spec), CPU)
    assert tuple(model.normalisation.mean) == (0.1, 0.2, 0.3)
    with pytest.raises(ValueError, match="found True beside model: builtin"):
        ClipFoundation(kind="clip", model="builtin", pretrained="./w.pt", quick_gelu=True)


def test_what_is_beside_the_model_in_a_file_is_named(
    tmp_path: Path, base: ClipFoundation, tuned: dict[str, Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    """A classifier of its own, as WiSE-FT's models have."""
    state = {f"image_encoder.model.{name}": tensor for name, tensor in tuned.items()}
    torch.save(state | {"classification_head.weight": torch.ones(3, 24)}, tmp_path / "w.pt")
    with caplog.at_level(logging.WARNING):
        KIND.weights(KIND.tuned(str(tmp_path / "w.pt"), base), theta(base))
    assert "no place for classification_head.weight; they are not read" in caplog.text


def test_another_architecture_is_told_by_names_and_shapes_in_one_message(tmp_path: Path, base: ClipFoundation) -> None:
    wide = save_clip(tmp_path / "wide", text=FEW_WORDS, vision={**VIT, "image_size": 32, "layers": 3})
    expected = (
        r"is not of the base's architecture, .*: 1 tensor of other shapes: visual.positional_embedding has shape "
        r"\(17, 32\), the base's \(10, 32\); 12 tensors that the base does not have: "
        r"visual.transformer.resblocks.2.attn.in_proj_bias, .*, and 7 more; give the base that it was tuned from"
    )
    with pytest.raises(FoundationError, match=expected):
        KIND.weights(wide, theta(base))
    file = tmp_path / "wide.pt"
    torch.save({f"module.{name}": tensor for name, tensor in theta(wide).items()}, file)
    with pytest.raises(FoundationError, match=expected):
        KIND.weights(KIND.tuned(str(file), base), theta(base))
    with pytest.raises(FoundationError, match=r"12 tensors missing: visual.transformer.resblocks.2"):
        KIND.weights(base, theta(wide))


@pytest.mark.parametrize(("tower", "prefix"), [("image tower", "module."), ("text tower", "")])
def test_a_file_of_one_tower_has_the_rest_of_the_base(
    tower: str,
    prefix: str,
    base: ClipFoundation,
    tuned: dict[str, Tensor],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    start, file = theta(base), tmp_path / "tower.pt"
    own = {name: tensor.half() for name, tensor in tuned.items() if part_of(name) == tower}
    torch.save({"state_dict": {prefix + name: tensor for name, tensor in own.items()}}, file)
    found = KIND.weights(KIND.tuned(str(file), base), start)
    assert found.keys() == start.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, own[name].float() if part_of(name) == tower else start[name])
    (other,) = {"image tower", "text tower"} - {tower}
    count = sum(part_of(name) == other for name in start)
    kept = sorted([f"{other} ({count})", "logit_scale (1)"])
    assert f"holds {len(own)} of {len(start)} tensors; these are the base's: {'; '.join(kept)}" in caplog.text


def test_a_file_that_lacks_a_part_of_a_tower_is_refused_unless_it_is_a_change_of_this_base(
    base: ClipFoundation, tuned: dict[str, Tensor], tmp_path: Path
) -> None:
    start, file = theta(base), tmp_path / "w.safetensors"
    for lost in ("logit_scale", "visual.proj", "token_embedding.weight"):
        save_file({name: tensor for name, tensor in tuned.items() if name != lost}, file)
        with pytest.raises(FoundationError, match=f"1 tensor missing: {lost}; give the base"):
            KIND.weights(KIND.tuned(str(file), base), start)
    image = {name: tensor for name, tensor in tuned.items() if part_of(name) == "image tower"}
    save_file({name: tensor for name, tensor in image.items() if name != "visual.proj"}, file)
    with pytest.raises(FoundationError, match=r"tensors missing: .*; give the base"):
        KIND.weights(KIND.tuned(str(file), base), start)
    changed = {"visual.proj": tuned["visual.proj"]}
    save_file(changed, file, metadata={CHANGED_FROM: state_hash(start)})
    found = KIND.weights(KIND.tuned(str(file), base), start)
    assert state_hash(found) == state_hash({**start, **changed})
    save_file(changed, file, metadata={CHANGED_FROM: state_hash(tuned)})
    with pytest.raises(FoundationError, match=r"changed of a model with hash \w+, and the base has hash \w+; give"):
        KIND.weights(KIND.tuned(str(file), base), start)


def test_weights_that_are_not_finite_are_told_of_their_file(
    base: ClipFoundation, tuned: dict[str, Tensor], tmp_path: Path
) -> None:
    tuned["visual.proj"][0, :2] = torch.tensor([float("nan"), float("inf")])
    image = {name: tensor for name, tensor in tuned.items() if part_of(name) == "image tower"}
    file = tmp_path / "w.safetensors"
    for tensors in (tuned, image):
        save_file(tensors, file)
        with pytest.raises(FoundationError, match=rf"^{file} holds weights that are not finite .*: visual.proj \(2 of"):
            KIND.weights(KIND.tuned(str(file), base), theta(base))


def test_a_pickled_model_is_refused_with_the_way_out(tmp_path: Path, base: ClipFoundation) -> None:
    torch.save(SimpleNamespace(model=torch.nn.Linear(2, 2)), tmp_path / "w.pt")
    with pytest.raises(FoundationError, match=r"it is a whole Python object.*save its weights alone: python -c"):
        KIND.weights(KIND.tuned(str(tmp_path / "w.pt"), base), theta(base))


def test_the_weights_decide_the_head() -> None:
    assert KIND.head_of(["visual.proj", "logit_scale"]) == "frozen"
    assert KIND.head_of(["visual.proj", "token_embedding.weight"]) == "text"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.b", "c"], ""),
        (["m.a.b", "m.c", "m.a.d"], "m."),
        (["x.m.a.b", "x.m.c", "opt.c"], "x.m."),
        (["other", "names.b"], None),
        ([], None),
    ],
)
def test_a_wrapper_is_what_stands_before_most_names(names: list[str], expected: str | None) -> None:
    assert wrapper_of(names, ["a.b", "c", "a.d"]) == expected


def test_configurations_that_differ_are_told(tmp_path: Path, base: ClipFoundation) -> None:
    other = save_clip(
        tmp_path / "other",
        text=FEW_WORDS,
        preprocess={"resize_mode": "squash", "mean": [0.5, 0.5, 0.5]},
        quick_gelu=True,
    )
    file = tmp_path / "other" / "open_clip_config.json"
    config: dict[str, Any] = json.loads(file.read_text())
    config["model_cfg"]["vision_cfg"]["patch_dropout"] = 0.5
    file.write_text(json.dumps(config))
    assert KIND.unlike(other, base) == (
        "model_cfg.quick_gelu: True where the base has nothing",
        "preprocess_cfg.mean: [0.5, 0.5, 0.5] where the base has nothing",
    )
    assert KIND.unlike(base, base) == ()
    assert KIND.unlike(BUILTIN, base) == ()
