"""Canonical names of a CLIP model -> the layer of each; each tower has its own first and last layer."""

from collections.abc import Iterable

from rayforget.foundations.clip.names import VISUAL, is_text_name
from rayforget.foundations.layers import tower_layers
from rayforget.values.layers import Layer


def clip_layers(names: Iterable[str]) -> dict[str, Layer]:
    """Counts the layers of each tower, so that both go from depth 0 to depth 1 whatever their numbers of blocks.

    Parts behind the image tower (logit_scale, logit_bias, a trained `head.weight`) are in its last layer, with the
    projection; so is CoCa's decoder, which no recipe trains.

    Args:
        names: all names of `Foundation.initial(recipe)`, in the model's order.
    """
    names = tuple(names)
    text = [name for name in names if is_text_name(name)]
    visual = [name for name in names if name.startswith(VISUAL)]
    layers = tower_layers(visual) | tower_layers(text)
    count = max((layers[name].count for name in visual), default=1)
    return {name: layers.get(name, Layer(index=count - 1, count=count)) for name in names}
