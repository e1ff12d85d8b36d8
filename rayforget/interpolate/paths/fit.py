"""A space's paths and a model -> whether each fits it, known before anything is trained."""

from collections.abc import Mapping

from torch import Tensor

from rayforget.errors import SpaceError
from rayforget.interpolate.paths.path import open_path, theta_at
from rayforget.space.curve_paths import CurvePaths
from rayforget.values.layers import Layer


def try_paths(paths: CurvePaths, theta_0: Mapping[str, Tensor], layers: Mapping[str, Layer]) -> None:
    """Walks half of every path between two equal ends: the smallest tensor of each layer.

    Raises:
        SpaceError: a path does not fit; the message names it and says why, whatever a third party's path raises.
    """
    smallest: dict[Layer | None, str] = {}
    for name in sorted(theta_0):
        layer = layers.get(name)
        if layer not in smallest or theta_0[name].numel() < theta_0[smallest[layer]].numel():
            smallest[layer] = name
    few = {name: theta_0[name] for name in smallest.values()}
    for text in (*paths.fixed, *(path.example for path in paths.searched)):
        try:
            theta_at(open_path(text), few, few, 0.5, layers)
        except Exception as error:  # a third party's path may raise anything
            reason = " ".join(f"{error}".split()) or type(error).__name__
            raise SpaceError(f"curve.paths: {text} does not fit this model: {reason}") from error
