"""A language model whose rotary frequencies depend on the longest position of a batch -> how batches stay independent.

longrope (Phi-3, LongRoPE 2024) takes other frequencies as soon as a position of the batch lies beyond its original
length; so sequences on one side of that switch may share a batch, and others may not. Dynamic scaling recomputes them
for every length beyond the original one and keeps them for what comes after, so that answers depend on what was asked
before: such lengths are refused.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rayforget.errors import FoundationError

_SWITCHED = ("longrope", "su")


def rotary_switch(config: Mapping[str, Any], *, longest: int, name: str) -> int | None:
    """The longest sequence, in tokens, with the original frequencies; None if all lengths have the same.

    Args:
        config: the contents of config.json.
        longest: tokens of the longest input of training or scoring.
        name: the model, for the message.

    Raises:
        FoundationError: the frequencies of some lengths depend on what was asked before.
    """
    for rotary, owner in _rotaries(config):
        kind = rotary.get("rope_type", rotary.get("type"))
        known = rotary.get("original_max_position_embeddings") or owner.get("original_max_position_embeddings")
        original = known or owner.get("max_position_embeddings")
        if not isinstance(original, int) or longest <= original:
            continue
        if kind in _SWITCHED:
            return original
        if isinstance(kind, str) and "dynamic" in kind:
            raise FoundationError(
                f"{name}: its rotary positions ({kind}) are scaled anew for every length beyond {original} tokens, by "
                f"the longest sequence asked so far, so that a score would depend on other texts; write "
                f"foundation.sequences: {{length: {original}, scored_length: {original}}} or less"
            )
    return None


def refuse_both_sides(lengths: NDArray[np.int64], switch: int | None) -> None:
    """Refuses to train on sequences on both sides of the switch, since those of a batch share their frequencies.

    Args:
        lengths: tokens of every training sequence.
        switch: from `rotary_switch`.

    Raises:
        FoundationError: the message says how long sequences may be.
    """
    if switch is None or not len(lengths):
        return
    longer = int((lengths > switch).sum())
    if 0 < longer < len(lengths):
        raise FoundationError(
            f"{longer} of {len(lengths)} training sequences are longer than {switch} tokens, from where the model's "
            "rotary positions (longrope) change for all sequences of a batch, so that a text would be learnt by other "
            f"positions than it is scored; write foundation.sequences: {{length: {switch}}}"
        )


def _rotaries(config: Mapping[str, Any], owner: Mapping[str, Any] | None = None) -> Iterator[tuple[Any, Any]]:
    """(rotary settings, the configuration that they belong to), also of nested configurations and kinds of layers."""
    for key, value in config.items():
        if not isinstance(value, Mapping):
            continue
        here = owner if owner is not None else config
        if key in ("rope_parameters", "rope_scaling") or owner is not None:
            if "rope_type" in value or "type" in value:
                yield value, here
            yield from _rotaries(value, here)
        else:
            yield from _rotaries(value)
