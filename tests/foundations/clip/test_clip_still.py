"""CLIP models bring no randomness of their own, and their files' faults are told by their cause."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_clip import TEXT, VIT, save_clip
from torch import nn

from rayforget.errors import FoundationError
from rayforget.foundations.clip.model import load_clip

CPU = torch.device("cpu")
DROPS = {"timm_model_name": "test_convnext", "timm_pool": "", "timm_proj": "linear", "timm_drop_path": 0.5}


def _bert(folder: Path) -> dict[str, Any]:
    from transformers import BertConfig, BertModel

    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    BertModel(BertConfig(vocab_size=64, max_position_embeddings=32, **size)).save_pretrained(folder)
    tower = {"hf_model_name": str(folder), "hf_proj_type": "mlp", "hf_pooler_type": "mean_pooler"}
    return {**tower, "hf_tokenizer_name": "", "context_length": 16, "vocab_size": 49408}


@pytest.mark.parametrize("tower", ["image", "text"])
def test_towers_in_training_draw_no_random_numbers(tmp_path: Path, tower: str) -> None:
    if tower == "image":
        spec = save_clip(tmp_path / "clip", vision=DROPS | {"image_size": 64, "timm_model_pretrained": False})
    else:
        spec = save_clip(tmp_path / "clip", text=_bert(tmp_path / "bert"))
    clip = load_clip(spec, CPU).clip.train()
    for part in clip.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()
    if tower == "image":
        images = torch.randn(4, 3, 64, 64)
        found = [clip.encode_image(images) for _ in range(2)]  # type: ignore[operator]
    else:
        found = [clip.encode_text(torch.arange(1, 33).view(2, 16)) for _ in range(2)]  # type: ignore[operator]
    torch.testing.assert_close(*found, rtol=0, atol=0)


def test_faults_of_weights_are_told_by_their_cause(tmp_path: Path) -> None:
    spec = save_clip(tmp_path, vision=VIT, text=TEXT)
    path = tmp_path / "open_clip_model.safetensors"
    tensors = load_file(path)
    save_file({**tensors, "visual.proj": tensors["visual.proj"] * torch.nan}, path)
    with pytest.raises(FoundationError, match=r"holds weights that are not finite .*visual\.proj"):
        load_clip(spec, CPU)
    path.unlink()
    pickled = tmp_path / "open_clip_pytorch_model.bin"
    for value, reason in (
        ({"state_dict": tensors, "best": np.float64(1.0)}, "numpy values"),
        (nn.Linear(2, 2), "a whole Python object"),
    ):
        torch.save(value, pickled)
        with pytest.raises(FoundationError, match=rf"{reason}.*weights_only=False"):
            load_clip(spec, CPU)
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), pickled)
    with pytest.raises(FoundationError, match="TorchScript archive"):
        load_clip(spec, CPU)
