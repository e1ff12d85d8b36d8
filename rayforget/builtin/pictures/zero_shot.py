"""A folder with a CLIP model -> its zero-shot accuracy on the drawn world: shapes per style, colours and counts."""

import io
from pathlib import Path

import open_clip
import torch
from PIL import Image

from rayforget.builtin.pictures.world import STYLES, WorldImages
from rayforget.space.tasks.data import WorldSource

TEMPLATES: dict[str, str] = {"shape": "a picture of a {}", "color": "something {}", "count": "{} things"}
"""The prompt per naming."""


def zero_shot(folder: Path, split: str, num: int) -> dict[str, float]:
    """Share of right answers by style (naming shapes), and under `color` and `count` (all styles together).

    Args:
        folder: a model in open_clip's local-folder format.
        split: the world's split.
        num: number of pictures per entry.
    """
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}", precision="fp32")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    model.eval()

    def accuracy(style: str, naming: str) -> float:
        values = {"kind": "world", "style": style, "naming": naming, "split": split, "count": num}
        pictures = WorldImages(WorldSource.model_validate(values))
        pixels = torch.stack([preprocess(Image.open(io.BytesIO(pictures.read(i)))) for i in range(num)])
        labels = torch.tensor([pictures.label(i) for i in range(num)])
        prompts = tokenizer([TEMPLATES[naming].format(name) for name in pictures.class_names])
        with torch.inference_mode():
            scores = model.encode_image(pixels, normalize=True) @ model.encode_text(prompts, normalize=True).T
        return float((scores.argmax(dim=1) == labels).float().mean())

    return {style: accuracy(style, "shape") for style in STYLES} | {n: accuracy("all", n) for n in ("color", "count")}


def table(accuracies: dict[str, float]) -> str:
    """One line per entry, in percent, with the mean over styles."""
    mean = sum(accuracies[style] for style in STYLES) / len(STYLES)
    return "\n".join(f"{name:<16}{value:6.1%}" for name, value in [*accuracies.items(), ("mean of styles", mean)])
