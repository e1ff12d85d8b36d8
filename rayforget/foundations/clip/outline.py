"""A CLIP model's name, folder or file of weights -> its tensors without values."""

from pathlib import Path

import open_clip
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from rayforget.foundations.clip.config import ClipFoundation
from rayforget.foundations.clip.own_code import nobody_asked
from rayforget.foundations.clip.source import clip_source, quiet_open_clip
from rayforget.foundations.clip.state_file import wrapper_of
from rayforget.foundations.pickles import pickled_tensors
from rayforget.foundations.shapes import without_values
from rayforget.space.paths import is_weights_file


def outline_of(spec: ClipFoundation) -> dict[str, Tensor] | None:
    """Tensors on no device under open_clip's names; None if the model cannot be built without values.

    What a file of weights lacks, or holds in another format than open_clip's, is as the model has it.

    Raises:
        FoundationError: there is no such model, or the file cannot be read without running code.
    """
    with quiet_open_clip(), nobody_asked(trusted=spec.trust_remote_code):
        clip = without_values(
            lambda: open_clip.create_model(
                clip_source(spec).name, load_weights=False, pretrained_text=False, precision="fp32", device="meta"
            )
        )
    if clip is None:
        return None
    own: dict[str, Tensor] = dict(clip.named_parameters())
    if spec.pretrained is None or not is_weights_file(spec.pretrained):
        return own
    found = _shapes_in(Path(spec.pretrained))
    prefix = wrapper_of(found, own)
    if prefix is None:
        return own
    there = {name: found[prefix + name] for name in own if prefix + name in found}
    return {**own, **{name: tensor for name, tensor in there.items() if tensor.numel() != 1}}


def _shapes_in(path: Path) -> dict[str, Tensor]:
    if path.suffix in (".npz", ".npy"):
        return {}
    if path.suffix != ".safetensors":
        return {name: tensor.to("meta") for name, tensor in pickled_tensors(path).items()}
    try:
        with safe_open(path, "pt") as file:
            return {name: torch.empty(file.get_slice(name).get_shape(), device="meta") for name in file.keys()}  # noqa: SIM118
    except SafetensorError:
        return {}  # loading says what is wrong with it
