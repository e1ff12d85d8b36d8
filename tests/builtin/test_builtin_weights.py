"""The tiny CLIP that ships: small, loadable by plain open_clip, and as good as the README says."""

import json
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import load_file

from rayforget.builtin.pictures.captions import WORDINGS
from rayforget.builtin.pictures.world import SIZE, STYLES
from rayforget.builtin.pictures.zero_shot import zero_shot
from rayforget.foundations.clip.source import builtin_folder

FOLDER = builtin_folder()
FILE = FOLDER / "open_clip_model.safetensors"


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return load_file(FILE)


def test_the_weights_take_at_most_10_megabytes_in_fp16(state: dict[str, torch.Tensor]) -> None:
    assert FILE.stat().st_size <= 10 * 1000**2
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}
    assert all(tensor.isfinite().all() for tensor in state.values())


def test_plain_open_clip_loads_them_into_fp32(state: dict[str, torch.Tensor]) -> None:
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{FOLDER}", precision="fp32")
    loaded = model.state_dict()
    assert loaded.keys() == state.keys()
    for name, tensor in state.items():
        assert loaded[name].dtype == torch.float32
        assert torch.equal(loaded[name], tensor.float()), name
    assert preprocess is not None


def test_every_caption_fits_into_the_context(state: dict[str, torch.Tensor]) -> None:
    tokenizer: Any = open_clip.get_tokenizer(f"local-dir:{FOLDER}")
    captions = [caption for wordings in WORDINGS.values() for captions in wordings for caption in captions]
    ids = tokenizer(captions)
    assert ids.shape == (len(captions), 16)
    assert (ids[:, -1] == 0).all()
    known = state["token_embedding.weight"][ids[ids != 0]].abs().amax(dim=1) > 0
    assert known.all()


def test_the_config_is_open_clips_and_of_the_worlds_size() -> None:
    config = json.loads((FOLDER / "open_clip_config.json").read_text())
    assert config["model_cfg"]["vision_cfg"]["image_size"] == config["preprocess_cfg"]["size"] == SIZE


@pytest.mark.slow
def test_zero_shot_reaches_60_percent_on_average_over_styles() -> None:
    accuracies = zero_shot(FOLDER, "test", 400)
    assert sum(accuracies[style] for style in STYLES) / len(STYLES) >= 0.60
    assert accuracies["color"] >= 0.60
    assert accuracies["count"] >= 0.60
