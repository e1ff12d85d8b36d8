"""A causal language model -> whether sequences side by side in one row answer as they do alone: found by trying.

Packing and shared prefixes put several sequences, or several endings of one, into a row, and keep them apart with a
mask and with positions of their own. A layer that mixes tokens by other means than attention (a convolution, a state
space, linear attention) ignores the mask, some models take no positions, and a window or a chunk counts columns of the
row. Such models answer wrongly without an error, so every model is compared.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rayforget.foundations.causal_lm.head import CausalHead, causal_mask

logger = logging.getLogger(__name__)

_WINDOWS = ("sliding_window", "attention_chunk_size", "window_size", "local_attention_window", "attention_window_size")
"""Configuration keys of the span that a layer looks back over, which is too long to show in a few tokens."""
_OTHER_SENSES = ("vision", "audio", "image", "video")
"""Beginnings of the keys of configurations that do not concern text."""
_FEW = (5, 4)
"""Lengths of the sequences tried, in tokens."""
_TOLERANCE = 3e-5
"""Share of the largest feature. Rounding in fp32 is about 1e-6 of it; a token of another sequence changes 2e-4 if the
weights are small and random, and far more in a trained model."""


def keeps_apart(head: CausalHead, config: Mapping[str, Any], *, longest: int) -> bool:
    """Whether rows may hold several sequences; logs the reason if not.

    Args:
        head: in eval mode and in fp32.
        config: the contents of config.json.
        longest: tokens of the longest sequence to be trained on or scored.
    """
    reason = _window(config, longest) or _difference(head)
    if reason is not None:
        logger.warning(
            "%s: %s; every sequence gets a row of its own, so that packing and shared prefixes save nothing",
            type(head.lm).__name__,
            reason,
        )
    return reason is None


def _window(config: Mapping[str, Any], longest: int) -> str | None:
    for name, span, owner in _spans(config):
        used = name != "sliding_window" or owner.get("use_sliding_window", True)
        if used and span < longest:
            return f"{name} is {span}, shorter than a sequence of {longest} tokens"
    return None


def _spans(config: Mapping[str, Any]) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    """(key, tokens, where it stands), in configurations within the configuration too, except those of other senses."""
    for name, value in config.items():
        if name in _WINDOWS and isinstance(value, int):
            yield name, value, config
        elif isinstance(value, Mapping) and not name.startswith(_OTHER_SENSES):
            yield from _spans(value)


@torch.no_grad()
def _difference(head: CausalHead) -> str | None:
    """How a packed and a branched row's features differ from those of each sequence alone; None if they agree."""
    device = next(head.parameters()).device
    first, second = (_tokens(head, count, start).to(device) for count, start in zip(_FEW, (3, 40), strict=True))
    endings = [torch.cat([first[:3], ending]) for ending in (first[3:], second[:3])]
    row = torch.cat([first, second])
    branched = torch.cat([first[:3], endings[0][3:], endings[1][3:]])
    tried = (
        ("packed", row, [0] * 5 + [1] * 4, [0] * 9, [first, second], [range(5), range(5, 9)]),
        ("branched", branched, [0] * 8, [0] * 3 + [1] * 2 + [2] * 3, endings, [range(5), (0, 1, 2, 5, 6, 7)]),
    )
    for name, tokens, sequences, branches, alone, columns in tried:
        try:
            found = _masked(head, tokens, sequences, branches, columns)
        except (
            AttributeError,
            AssertionError,
            IndexError,
            NotImplementedError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:
            return f"it takes no {name} rows ({type(error).__name__}: {error})"
        for own, where in zip(alone, columns, strict=True):
            expected: Tensor = head(tokens=own[None])
            difference = float((found[list(where)] - expected).abs().max() / expected.abs().max())
            if not difference <= _TOLERANCE:  # NaN too
                return f"features of {name} rows differ by {difference:.1g} from those of each sequence alone"
    return None


def _masked(
    head: CausalHead, tokens: Tensor, sequences: list[int], branches: list[int], columns: Sequence[Sequence[int]]
) -> Tensor:
    device = tokens.device
    positions = torch.empty(len(tokens), dtype=torch.long, device=device)
    for where in columns:
        positions[list(where)] = torch.arange(len(where), device=device)
    mask = causal_mask(torch.tensor([sequences], device=device), torch.tensor([branches], device=device))
    features: Tensor = head(tokens=tokens[None], positions=positions[None], mask=mask)
    return features


def _tokens(head: CausalHead, count: int, start: int) -> Tensor:
    vocabulary: Any = head.lm.get_input_embeddings().num_embeddings  # type: ignore[operator]
    tokens: Tensor = (start + 7 * torch.arange(count)) % vocabulary
    return tokens
