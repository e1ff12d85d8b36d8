"""A CLIP model's name and a recipe's head -> the layers to train, without values."""

from torch import nn

from rayforget.foundations.clip.attention import swap_attention
from rayforget.foundations.clip.config import ClipFoundation
from rayforget.foundations.clip.own_code import nobody_asked
from rayforget.foundations.clip.source import clip_source, quiet_open_clip
from rayforget.foundations.shapes import without_values


def trained_layers(spec: ClipFoundation, head: str) -> nn.Module | None:
    """The layers under the names that adapters see; None if the model cannot be built without values.

    Raises:
        FoundationError: there is no such model.
    """
    return without_values(lambda: _layers(spec, head))


def _layers(spec: ClipFoundation, head: str) -> nn.Module:
    import open_clip

    with quiet_open_clip(), nobody_asked(trusted=spec.trust_remote_code):
        clip = open_clip.create_model(
            clip_source(spec).name, load_weights=False, pretrained_text=False, precision="fp32", device="meta"
        )
    swap_attention(clip)
    if head == "text":
        return nn.ModuleDict({"clip": clip})
    return nn.ModuleDict({"visual": clip.visual} | ({"head": nn.Linear(1, 1)} if head == "trained" else {}))
