"""A space's paths and a model -> whether each fits it, known before anything is trained."""

from collections.abc import Mapping

import torch
from torch import Tensor

from rayforget.errors import FoundationError, SpaceError
from rayforget.extensions.use import blame
from rayforget.interpolate.paths.path import open_path, theta_at
from rayforget.space.curve_paths import CurvePaths
from rayforget.values.layers import Layer


def try_paths(paths: CurvePaths, theta_0: Mapping[str, Tensor], layers: Mapping[str, Layer]) -> None:
    """Walks every path half the way and the whole way, between theta_0 and a theta_1 that is drawn at random: the
    smallest tensor of each layer changes.

    Raises:
        SpaceError: a path does not fit; the message names it and says why, whatever a third party's path raises.
    """
    smallest: dict[Layer | None, str] = {}
    for name in sorted(theta_0):
        layer = layers.get(name)
        if layer not in smallest or theta_0[name].numel() < theta_0[smallest[layer]].numel():
            smallest[layer] = name
    moved = {name: _moved(theta_0[name]) for name in sorted(smallest.values())}
    for text in (*paths.fixed, *(path.example for path in paths.searched)):
        try:
            for t in (0.5, 1.0):
                _walk(text, theta_0, moved, t, layers)
        except Exception as error:  # a third party's path may raise anything
            reason = blame(error) or " ".join(f"{error}".split()) or type(error).__name__
            raise SpaceError(f"curve.paths: {text} does not fit this model: {reason}") from error


def _moved(start: Tensor) -> Tensor:
    """The tensor as a training might leave it: every weight a little elsewhere, also those that were 0 or all equal."""
    step = torch.randn(start.shape, generator=torch.Generator().manual_seed(0))
    return start + step * (0.01 * float(start.abs().mean()) + 1e-3)


def _walk(
    text: str, theta_0: Mapping[str, Tensor], theta_1: Mapping[str, Tensor], t: float, layers: Mapping[str, Layer]
) -> None:
    ends = {name: (theta_0[name].clone(), end.clone()) for name, end in theta_1.items()}
    found, again = (theta_at(open_path(text), theta_0, theta_1, t, layers) for _ in range(2))
    for name, (start, end) in ends.items():
        if not (torch.equal(theta_0[name], start) and torch.equal(theta_1[name], end)):
            raise FoundationError(f"it changes {name} of theta_0 or theta_1 in place; make new tensors")
        if not found[name].isfinite().all():
            raise FoundationError(f"{name} has numbers that are not finite at t = {t:g}, between ends that are")
        if not torch.equal(found[name], again[name]):
            raise FoundationError(f"{name} differs between two calls at t = {t:g}; equal ends must give equal bits")
