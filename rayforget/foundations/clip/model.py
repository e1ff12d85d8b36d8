"""A space's CLIP foundation -> the loaded model: theta_0, its two towers as functions of weights, its preprocessing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from rayforget.errors import FoundationError
from rayforget.foundations.clip.attention import SwappedAttention, split_names, swap_attention
from rayforget.foundations.clip.config import ClipFoundation
from rayforget.foundations.clip.names import CAPTIONS, VISUAL, is_text_name
from rayforget.foundations.clip.own_code import nobody_asked, refuse_own_code
from rayforget.foundations.clip.pixels import ClipDecoder, Normalisation
from rayforget.foundations.clip.source import ClipSource, clip_source, quiet_open_clip
from rayforget.foundations.clip.state_file import read_into
from rayforget.foundations.clip.text import TextTower, Tokenizer
from rayforget.foundations.finite import refuse_non_finite
from rayforget.foundations.pickles import refusal
from rayforget.foundations.protocol import State
from rayforget.foundations.randomness import still
from rayforget.foundations.sharing import Share, keep_own, point_at
from rayforget.interpolate.hashing import state_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipModel:
    """An open_clip model in fp32 and eval mode; read-only, as theta_0 is, with which it shares memory on a CPU."""

    clip: nn.Module
    """open_clip's model after the swap of its attention, on the device."""
    swapped: tuple[SwappedAttention, ...]
    """Connects its names to the canonical ones."""
    theta_0: State
    """On the CPU, under open_clip's own names."""
    theta_0_hash: str
    decoder: ClipDecoder
    normalisation: Normalisation
    tokenizer: Tokenizer
    config: Mapping[str, Any]
    """The contents of open_clip_config.json in an exported folder: model_cfg and preprocess_cfg."""
    device: torch.device
    text: TextTower
    """`clip`'s text tower as a module of its own; shares its weights."""
    runs_with: str | None = None
    """`ClipSource.runs_with`."""

    @property
    def settings(self) -> list[Any]:
        """What decides its features besides weights, as JSON: architecture and preprocessing."""
        return [dict(self.config), self.decoder.key, self.normalisation.mean, self.normalisation.std]

    def visual_weights(self, theta: State) -> dict[str, Tensor]:
        """The image tower's tensors among `theta`, as `image_features` takes them."""
        split = split_names({name: theta[name] for name in theta if name.startswith(VISUAL)}, self.swapped)
        return {name.removeprefix(VISUAL): tensor.to(self.device) for name, tensor in split.items()}

    def text_weights(self, theta: State) -> dict[str, Tensor]:
        """The text tower's tensors among `theta`, as `text_features` takes them."""
        split = split_names({name: theta[name] for name in theta if is_text_name(name)}, self.swapped)
        return {f"clip.{name}": tensor.to(self.device) for name, tensor in split.items()}

    def image_features(self, images: Float[Tensor, "n 3 h w"], weights: Mapping[str, Tensor]) -> Float[Tensor, "n d"]:
        """Unit features of normalised images; `weights` replace theta_0's."""
        visual: nn.Module = self.clip.visual  # type: ignore[assignment]
        return unit_features(functional_call(visual, dict(weights), (images,)))

    def text_features(self, tokens: Int[Tensor, "n l"], weights: Mapping[str, Tensor]) -> Float[Tensor, "n d"]:
        """Unit features of texts; `weights` replace theta_0's."""
        features: Tensor = functional_call(self.text, dict(weights), (tokens,))
        return features


def unit_features(output: Any) -> Float[Tensor, "n d"]:
    """An image tower's output (some towers return their tokens too) -> features of unit length."""
    features: Tensor = output[0] if isinstance(output, tuple) else output
    return F.normalize(features.float(), dim=-1)


def load_clip(spec: ClipFoundation, device: torch.device, share: Share = keep_own) -> ClipModel:
    """Loads a model through open_clip, in fp32 whatever the file's type; theta_0 is the loaded model.

    All dropout (of patches and paths too) is turned off: it would draw from global random generators.

    Args:
        spec: the space's foundation.
        device: where the model lives; theta_0 stays on the CPU.
        share: decides in which memory theta_0 lies.

    Raises:
        FoundationError: there is no such model, its files are missing or do not fit, or the hub does not answer.
    """
    import open_clip

    source = clip_source(spec)
    try:
        with quiet_open_clip(), nobody_asked(trusted=spec.trust_remote_code):
            refuse_own_code(
                source.name, open_clip.get_model_config(source.name), trusted=spec.trust_remote_code
            )  # of a hub model only now
            clip = _create(source)
            tokenizer: Tokenizer = open_clip.get_tokenizer(source.name)
            model_cfg = open_clip.get_model_config(source.name)
    except FoundationError:
        raise
    except Exception as error:
        raise FoundationError(
            refusal(error, source.pretrained or source.name)
            or f"open_clip cannot load {source.name}{f' with {source.pretrained}' if source.pretrained else ''}: "
            f"{str(error)[:500]}; {_advice(source)}"
        ) from error
    clip.eval()
    still(clip)
    loaded = _state_of(clip)
    answering = {name: tensor for name, tensor in loaded.items() if not name.startswith(CAPTIONS)}
    refuse_non_finite(answering, source.file or source.name)
    theta_0_hash = state_hash(loaded)
    theta_0 = share(theta_0_hash, loaded)
    swapped = swap_attention(clip)
    if device.type == "cpu":
        point_at(clip, split_names(theta_0, swapped))
    clip.to(device)
    preprocess_cfg: dict[str, Any] = clip.visual.preprocess_cfg  # type: ignore[assignment, union-attr]
    return ClipModel(
        clip=clip,
        swapped=swapped,
        theta_0=theta_0,
        theta_0_hash=theta_0_hash,
        decoder=ClipDecoder(preprocess_cfg),
        normalisation=Normalisation(preprocess_cfg),
        tokenizer=tokenizer,
        config={
            "model_cfg": model_cfg | ({"quick_gelu": True} if source.quick_gelu else {}),
            "preprocess_cfg": preprocess_cfg,
        },
        device=device,
        text=TextTower(clip),
        runs_with=source.runs_with,
    )


def _create(source: ClipSource) -> nn.Module:
    """open_clip's model with the weights of its tag or folder, or of a file."""
    import open_clip

    file = source.file or source.own_weights
    clip: nn.Module = open_clip.create_model(
        source.name,
        None if file is not None else source.pretrained,
        load_weights=file is None,
        pretrained_text=file is None,
        precision="fp32",
        require_pretrained=file is None,
        force_quick_gelu=source.quick_gelu,
        force_patch_dropout=0.0,
        force_preprocess_cfg=source.preprocessing,
    )
    if file is not None:
        read_into(clip, Path(file))
    return clip


def _state_of(clip: nn.Module) -> dict[str, Tensor]:
    """Deduplicated parameters and persistent floating-point buffers, in fp32 on the CPU."""
    persistent = clip.state_dict().keys()
    tensors: dict[str, Tensor] = dict(clip.named_parameters())
    tensors |= {name: b for name, b in clip.named_buffers() if name in persistent and b.is_floating_point()}
    return {name: tensor.detach().to(torch.float32).contiguous() for name, tensor in tensors.items()}


def _advice(source: ClipSource) -> str:
    if source.name.startswith("local-dir:"):
        return "the weights and open_clip_config.json of the folder must belong together"
    if source.name.startswith("hf-hub:"):
        return "check the name on huggingface.co and the network, or download it and use local-dir:FOLDER"
    return "check the network, or download the weights and give their file as foundation.pretrained"
