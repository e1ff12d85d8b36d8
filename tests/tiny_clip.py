"""Small open_clip models with random weights in open_clip's local-folder format, and sets of random pixels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file

from rayforget.foundations.clip.config import ClipFoundation
from rayforget.tasks.images.pixels import PixelSet
from rayforget.tasks.resolved import ResolvedTask

VIT = {"layers": 2, "width": 32, "head_width": 16, "patch_size": 8, "image_size": 24}
RESNET = {"layers": [1, 1, 1, 1], "width": 8, "head_width": 64, "image_size": 32}
TEXT = {"context_length": 20, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
TEMPLATES = ("a photo of a {}.", "{}", "a very small and rather blurry sketch of the {}")


def save_clip(
    folder: Path,
    *,
    vision: dict[str, Any] = VIT,
    text: dict[str, Any] | None = None,
    preprocess: dict[str, Any] | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    **model_cfg: Any,
) -> ClipFoundation:
    """Writes a model with random weights and returns the foundation that names it."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text or TEXT, **model_cfg}
    files = {"model_cfg": config, "preprocess_cfg": preprocess or {"resize_mode": "squash"}}
    (folder / "open_clip_config.json").write_text(json.dumps(files))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
        with torch.no_grad():  # open_clip starts biases and norms at 0 and 1, where mistakes would not show
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    state = {name: tensor.to(dtype).contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return ClipFoundation(kind="clip", model=f"local-dir:{folder}")


def fused_clip(spec: ClipFoundation) -> Any:
    """The same model, as open_clip builds it."""
    return open_clip.create_model(spec.model, require_pretrained=True).eval()


def task(name: str, class_names: tuple[str, ...], **fields: Any) -> ResolvedTask:
    """A task without sources, for scorers that are given its pixels."""
    defaults: dict[str, Any] = {"role": "generality", "group": "g", "templates": TEMPLATES, "splits": {}}
    return ResolvedTask(**(defaults | {"name": name, "class_ids": class_names, "class_names": class_names} | fields))


def random_pixels(num_items: int, num_labels: int, *, size: int = 24, seed: int = 0) -> PixelSet:
    """Items of noise with random labels."""
    random = np.random.default_rng(seed)
    return PixelSet(
        pixels=random.integers(0, 256, (num_items, 3, size, size), dtype=np.uint8),
        labels=random.integers(0, num_labels, num_items),
        items_hash=f"{num_items}-{num_labels}-{seed}",
        broken=(),
    )
