"""Names of a causal language model's tensors -> the layer of each."""

from collections.abc import Iterable

from rayforget.foundations.layers import tower_layers
from rayforget.values.layers import Layer


def causal_layers(names: Iterable[str]) -> dict[str, Layer]:
    """One tower: embeddings, the blocks in order, then the final norm with the output layer.

    An output layer that is tied to the embedding shares its tensor, so it belongs to the first layer.

    Args:
        names: all names of theta_0; tied tensors once, under their first name.
    """
    return tower_layers(names)
