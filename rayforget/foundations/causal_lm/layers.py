"""Names of a causal language model's tensors -> the layer of each."""

import re
from collections.abc import Iterable

from rayforget.foundations.layers import tower_layers
from rayforget.values.layers import Layer

_NO_TEXT = re.compile(
    r"(^|\.)((vision|image|audio|speech)_(tower|encoder|model|backbone)|visual"
    r"|multi_modal_projector|visual_projection)\."
)
"""Towers within a model that also sees or hears; no text passes them."""


def causal_layers(names: Iterable[str]) -> dict[str, Layer]:
    """One tower: embeddings, the blocks in order, then the final norm with the output layer.

    An output layer that is tied to the embedding shares its tensor, so it belongs to the first layer. So does what sees
    or hears, which no training here changes.

    Args:
        names: all names of theta_0, in the model's order; tied tensors once, under their first name.
    """
    names = tuple(names)
    layers = tower_layers(name for name in names if _NO_TEXT.search(name) is None)
    first = Layer(index=0, count=max((layer.count for layer in layers.values()), default=1))
    return {name: layers.get(name, first) for name in names}
