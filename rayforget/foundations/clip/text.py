"""Class names in prompt templates -> token ids -> one unit vector per class, as in open_clip's zero-shot builder.

    w_c = u_c / |u_c|,   u_c = mean over templates t of  f(t(c)) / |f(t(c))|

A causal text tower that reads its feature off the end-of-text token never sees the padding behind it. Its tokens are
cut after the longest prompt, which gives the same features (up to rounding) for a fraction of the work (12 of 77
positions for "a photo of a dog.").
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Int
from torch import Tensor, nn

from rayforget.heartbeat import beat

Tokenizer = Callable[[list[str]], Tensor]
"""Texts -> token ids, shape (num_texts, context_length)."""

_POSITIONS_PER_BATCH = 2**14


@dataclass(frozen=True, slots=True, kw_only=True)
class CausalTower:
    """A text tower that may be run on the leading positions alone."""

    layers: Any
    """open_clip's module with the token embedding, the causal mask, the transformer and the projection."""
    pool: str
    eos_id: int


class TextTower(nn.Module):
    """Token ids, possibly cut -> unit text features; holds open_clip's whole model under the name `clip`."""

    def __init__(self, clip: nn.Module) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, tokens: Int[Tensor, "n l"]) -> Float[Tensor, "n d"]:
        """Features of unit length."""
        return encode_text(self.clip, tokens)


def encode_text(clip: nn.Module, tokens: Int[Tensor, "n l"]) -> Float[Tensor, "n d"]:
    """open_clip's `encode_text(tokens, normalize=True)`, for tokens that `prompt_tokens` may have cut."""
    from open_clip.transformer import text_global_pool

    causal = causal_tower(clip)
    if causal is None:
        features: Tensor = clip.encode_text(tokens, normalize=True)  # type: ignore[operator]
        return features.float()
    tower, length = causal.layers, tokens.shape[1]
    x = tower.token_embedding(tokens) + tower.positional_embedding[:length]
    x = tower.transformer(x, attn_mask=tower.attn_mask[:length, :length])
    x = text_global_pool(tower.ln_final(x), tokens, causal.pool, eos_token_id=causal.eos_id)
    projection = tower.text_projection
    if projection is not None:
        x = projection(x) if isinstance(projection, nn.Module) else x @ projection
    return F.normalize(x.float(), dim=-1)


def causal_tower(clip: nn.Module) -> CausalTower | None:
    """The text tower, if it is one of open_clip's own, causal, and pooled at the end-of-text token; else None."""
    from open_clip.model import CLIP
    from open_clip.transformer import TextTransformer

    tower: Any = getattr(clip, "text", clip)
    if isinstance(tower, CLIP):
        pool, eos_id = tower.text_pool_type, tower.text_eos_id
    elif isinstance(tower, TextTransformer) and tower.cls_emb is None:
        pool, eos_id = tower.pool_type, tower.eos_id
    else:
        return None
    if tower.attn_mask is None or pool not in ("argmax", "eos"):
        return None
    return CausalTower(layers=tower, pool=pool, eos_id=eos_id)


def prompt_tokens(
    clip: nn.Module, tokenizer: Tokenizer, class_names: Sequence[str], templates: Sequence[str]
) -> Int[Tensor, "c t l"]:
    """Token ids of every class in every template, on the CPU, cut after the longest prompt if that changes nothing."""
    prompts = [template.replace("{}", name) for name in class_names for template in templates]
    tokens = _cut_padding(tokenizer(prompts), causal_tower(clip))
    return tokens.view(len(class_names), len(templates), -1)


def class_features(
    encode: Callable[[Tensor], Tensor], tokens: Int[Tensor, "c t l"], device: torch.device
) -> Float[Tensor, "c d"]:
    """One unit vector per class: the renormalised mean over its templates' unit features; on `device`.

    Args:
        encode: token ids (n, l) -> unit features (n, d).
        tokens: token ids of every class in every template; on any device.
        device: where `encode` works.
    """
    num_classes, num_templates, length = tokens.shape
    classes_per_batch = max(1, _POSITIONS_PER_BATCH // (num_templates * length))
    means = []
    for first in range(0, num_classes, classes_per_batch):
        beat("encode class names", first, num_classes)
        texts = tokens[first : first + classes_per_batch].to(device).flatten(0, 1)
        encoded = encode(texts)
        means.append(encoded.view(-1, num_templates, encoded.shape[1]).mean(dim=1))
    return F.normalize(torch.cat(means), dim=-1)


def _cut_padding(tokens: Tensor, causal: CausalTower | None) -> Tensor:
    if causal is None:
        return tokens
    ends = tokens.argmax(dim=-1) if causal.pool == "argmax" else (tokens == causal.eos_id).int().argmax(dim=-1)
    return tokens[:, : int(ends.max()) + 1].contiguous()
