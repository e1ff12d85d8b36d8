"""A causal language model whose last layer is computed only for the tokens whose output is read.

In the last layer keys and values are needed for every token, everything else only for the few that predict something:
one in several hundred if a long text has a short answer. That saves about three quarters of a layer, a fifth of all
work in a model of four layers, and changes results only by rounding.

It works through the key-value cache that every layer of transformers knows. The layer is called twice: first on all
tokens, with a cache that keeps keys and values and then stops; then on the few, with a cache that has them all.
"""

import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Int
from torch import Tensor, nn

from rayforget.evaluate.precision import exactly
from rayforget.foundations.causal_lm.head import CausalHead

logger = logging.getLogger(__name__)

_CACHE_NAMES = ("past_key_values", "layer_past")
"""Names of the cache among a layer's arguments."""


class _KeysMade(Exception):  # noqa: N818
    """Leaves a layer as soon as its keys and values are made."""


class _Keys:
    """Keeps the keys and values of the first call for the second."""

    def __init__(self) -> None:
        self.kept: tuple[Tensor, Tensor] | None = None

    def update(self, keys: Tensor, values: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        if self.kept is None:
            self.kept = keys, values
            raise _KeysMade
        return self.kept


class LastLayer:
    """The last layer of one model."""

    def __init__(self, layer: nn.Module, cache_name: str) -> None:
        self._layer, self._cache_name = layer, cache_name

    @contextmanager
    def only(self, columns: Int[Tensor, "r s"]) -> Iterator[None]:
        """Within the block the model's last hidden state has shape (r, s, d): only these columns of its rows."""

        def shorten(layer: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            keys = _Keys()
            try:
                layer.forward(*args, **{**kwargs, self._cache_name: keys})
            except _KeysMade:
                return (_chosen(args[0], columns), *args[1:]), {
                    **kwargs,
                    self._cache_name: keys,
                    "attention_mask": _mask(kwargs.get("attention_mask"), columns, args[0].shape[1]),
                    **{
                        name: _chosen_each(kwargs[name], columns)
                        for name in ("position_ids", "position_embeddings")
                        if kwargs.get(name) is not None
                    },
                }
            raise TypeError(f"{type(layer).__name__} made no keys")

        handle = self._layer.register_forward_pre_hook(shorten, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()


_known: WeakKeyDictionary[CausalHead, LastLayer | None] = WeakKeyDictionary()


def last_layer(head: CausalHead) -> LastLayer | None:
    """The model's last layer, or None if the model does not work that way, which is tried once per model."""
    if head not in _known:
        found = _find(head)
        _known[head] = found if found is not None and _agrees(head, found) else None
        if _known[head] is None:
            logger.info("%s computes its last layer for all tokens", type(head.lm).__name__)
    return _known[head]


def _find(head: CausalHead) -> LastLayer | None:
    config: Any = head.lm.config
    stacks = [
        module
        for module in head.lm.modules()
        if isinstance(module, nn.ModuleList) and len(module) == getattr(config, "num_hidden_layers", 0)
    ]
    if len(stacks) != 1:
        return None
    known = inspect.signature(stacks[0][-1].forward).parameters
    names = [name for name in _CACHE_NAMES if name in known]
    return LastLayer(stacks[0][-1], names[0]) if names and "attention_mask" in known else None


@torch.no_grad()
def _agrees(head: CausalHead, found: LastLayer) -> bool:
    """Whether a few tokens get the same features with and without it, in plain rows and with a mask."""
    device = next(head.parameters()).device
    tokens = torch.arange(3, 15, device=device).reshape(2, 6)
    positions = torch.arange(6, device=device).expand(2, 6)
    columns = torch.tensor([[5, 2], [3, 0]], device=device)
    mask = torch.ones(6, 6, dtype=torch.bool, device=device).tril().expand(2, 1, 6, 6)
    for extra in ({}, {"positions": positions, "mask": mask}):
        try:
            with exactly(device):
                whole: Tensor = head(tokens=tokens, **extra)
                with found.only(columns):
                    few: Tensor = head(tokens=tokens, **extra)
        except (AttributeError, IndexError, TypeError, ValueError, RuntimeError) as error:
            logger.debug("the last layer alone: %s", error)
            return False
        expected = _chosen(whole.reshape(2, 6, -1), columns).flatten(0, 1)
        if few.shape != expected.shape or not torch.allclose(few, expected, atol=1e-4, rtol=1e-4):
            return False
    return True


def _chosen(tensor: Tensor, columns: Int[Tensor, "r s"]) -> Tensor:
    """(r or 1, l, ...) -> (r, s, ...)."""
    rows = torch.arange(len(columns), device=columns.device)[:, None]
    return tensor.expand(len(columns), *tensor.shape[1:])[rows, columns]


def _chosen_each(value: Any, columns: Int[Tensor, "r s"]) -> Any:
    if isinstance(value, tuple):  # cosines and sines
        return tuple(_chosen(each, columns) for each in value)
    return _chosen(value, columns)


def _mask(mask: Tensor | None, columns: Int[Tensor, "r s"], length: int) -> Tensor:
    """The few tokens' rows of the mask: (r, 1, s, l)."""
    if mask is None:
        return (columns[:, :, None] >= torch.arange(length, device=columns.device))[:, None]
    return _chosen(mask[:, 0], columns)[:, None]
