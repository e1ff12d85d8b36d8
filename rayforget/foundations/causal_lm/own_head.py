"""A language model's own way from features to logits: capped, scaled, or through further layers.

Some architectures do more than multiply their last hidden state by the output layer: they cap logits (Gemma 2), scale
them (Granite, Cohere), scale features (MiniCPM) or transform them (BERT). What they do is nowhere declared, so the
model's own forward is called with the features in place of what its base would have answered.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

_SCALES = (1.0, 10.0, 100.0, 1000.0)
"""Factors of features. A cap shows only in logits that come near it, which small random weights never give."""
_TOLERANCE = 1e-4
"""Share of the largest logit."""
_UNFIT = (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError)
"""What a model's own code raises where it was not made to be called like this."""


class OwnHead(nn.Module):
    """Features (t, d) -> logits (t, vocabulary), by the model's own forward; its weights are those of that way."""

    def __init__(self, lm: nn.Module, layers: tuple[str, ...]) -> None:
        """Shares the model's layers.

        Args:
            lm: the model; no submodule of this one.
            layers: names of its layers between features and logits.
        """
        super().__init__()
        self.layers = nn.ModuleList([lm.get_submodule(name) for name in layers])
        self._lm = (lm,)

    @property
    def out_features(self) -> int:
        """Size of the vocabulary."""
        return int(self._lm[0].get_output_embeddings().out_features)  # type: ignore[operator]

    def forward(self, features: Float[Tensor, "t d"]) -> Float[Tensor, "t v"]:
        """The logits of these features."""
        return own_logits(self._lm[0], features)


def base_of(lm: nn.Module) -> nn.Module:
    """The part of a model of transformers that turns tokens into features."""
    base: Any = lm.base_model
    if base is lm:  # its prefix names no part of it (Llama 4)
        base = getattr(lm, "model", base)
    return base  # type: ignore[no-any-return]


def own_logits(lm: nn.Module, features: Float[Tensor, "t d"]) -> Float[Tensor, "t v"]:
    """What the model's own forward makes of these features; its base is not run."""
    with _answering(lm, features[None]):
        tokens = torch.zeros(1, len(features), dtype=torch.long, device=features.device)
        logits: Tensor = lm(input_ids=tokens, use_cache=False).logits
    return logits[0]


class _Answer(tuple[Tensor]):
    """A base's output, as a tuple and by names; what it has not is None."""

    def __getattr__(self, name: str) -> Tensor | None:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[0] if name == "last_hidden_state" else None


@contextmanager
def _answering(lm: nn.Module, hidden: Float[Tensor, "1 t d"]) -> Iterator[None]:
    """Within the block the model's base answers with these features, whatever it is asked."""
    known: Any = lm
    whole, decoder = base_of(lm), known.get_decoder()
    bases = [whole, *([decoder] if decoder is not whole and decoder in set(whole.modules()) else [])]
    for base in bases:
        base.forward = lambda *_, **__: _Answer((hidden,))
    try:
        yield
    finally:
        for base in bases:
            del base.forward


@torch.no_grad()
def own_layers(lm: nn.Module, tokens: Int[Tensor, "1 t"], features: Float[Tensor, "t d"]) -> tuple[str, ...] | None:
    """How the model makes its logits: None by its output layer alone, else the names of the layers that take part.

    Args:
        lm: in eval mode and in fp32.
        tokens: a few.
        features: theirs.

    Raises:
        ValueError: its logits are not made of its features.
    """
    expected: Tensor = lm(input_ids=tokens).logits[0]
    try:
        answered, reason = own_logits(lm, features), "they are not made of its last hidden state"
    except _UNFIT as error:
        answered, reason = None, f"{type(error).__name__}: {error}"
    if answered is not None and _equal(answered, expected):
        if all(_is_product(lm, scale * features, own_logits(lm, scale * features)) for scale in _SCALES):
            return None
        return _layers_used(lm, features)
    if _is_product(lm, features, expected) and all(_is_last(lm, tokens, scale, expected) for scale in _SCALES):
        return None
    raise ValueError(f"its logits cannot be made piece by piece: {reason}")


def _is_last(lm: nn.Module, tokens: Tensor, scale: float, expected: Tensor) -> bool:
    """Whether logits grow with what the output layer gives, as they do if nothing follows."""
    handle = lm.get_output_embeddings().register_forward_hook(lambda *called: scale * called[2])  # type: ignore[operator]
    try:
        return _equal(lm(input_ids=tokens).logits[0], scale * expected)
    finally:
        handle.remove()


def _is_product(lm: nn.Module, features: Tensor, expected: Tensor) -> bool:
    output: nn.Module = lm.get_output_embeddings()  # type: ignore[operator]
    try:
        return _equal(output(features), expected)
    except RuntimeError:  # further layers come before it, and change the width
        return False


def _equal(found: Tensor, expected: Tensor) -> bool:
    return found.shape == expected.shape and float((found - expected).abs().max()) <= _TOLERANCE * float(
        expected.abs().max()
    )


@torch.enable_grad()
def _layers_used(lm: nn.Module, features: Tensor) -> tuple[str, ...]:
    """The modules whose own weights take part in the logits of features, each tensor once."""
    of_base = set(base_of(lm).modules())
    owners: dict[Tensor, str] = {}
    for name, part in lm.named_modules():
        if name and part not in of_base:
            for weight in part.parameters(recurse=False):
                owners.setdefault(weight, name)
    was = [weight.requires_grad for weight in owners]
    for weight in owners:
        weight.requires_grad_(True)
    try:
        total = own_logits(lm, features.detach()).square().sum()
        gradients = torch.autograd.grad(total, list(owners), allow_unused=True)
    finally:
        for weight, before in zip(owners, was, strict=True):
            weight.requires_grad_(before)
    used = [name for name, gradient in zip(owners.values(), gradients, strict=True) if gradient is not None]
    return tuple(sorted(set(used)))
