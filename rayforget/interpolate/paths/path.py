"""The interface of a path from theta_0 to theta_1: named parameters, and the weights at each t.

A path is a frozen model whose fields are its parameters, each a constant here (a space may write grids and domains of
them). t is the point's alpha. A path's file must import without torch, since spaces are read without it; `at` imports
it inside. A path is named by the name under which it is registered (`rayforget.space.curve_paths`).
"""

import json
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from rayforget.errors import FoundationError
from rayforget.space.curve_paths import PATHS
from rayforget.space.frozen import Frozen
from rayforget.space.path_text import parse_path

if TYPE_CHECKING:
    from torch import Tensor

    from rayforget.values.layers import Layer


class Path(Frozen):
    """A path from theta_0 (t = 0) through or towards theta_1."""

    @abstractmethod
    def at(
        self,
        theta_0: "Mapping[str, Tensor]",
        theta_1: "Mapping[str, Tensor]",
        t: float,
        layers: "Mapping[str, Layer]",
    ) -> "dict[str, Tensor]":
        """theta(t) of the tensors in `theta_1`, on their device, equal inputs giving equal bits.

        t = 0 gives theta_0 and is never asked for; t = 1 need not give theta_1; t outside [0, 1] extrapolates.

        Args:
            theta_0: fp32 tensors; may hold more names than `theta_1`.
            theta_1: the fp32 tensors that the training changed.
            t: the point's alpha.
            layers: name -> where in the model the tensor lies; tensors that belong to no layer are missing.

        Returns:
            The names of `theta_1` -> new fp32 tensors of the same shapes.

        Raises:
            FoundationError: the path does not fit the tensors or layers; the message says what to change.
        """


def open_path(text: str) -> Path:
    """The path that a record or a space names by its text, such as `lines(gamma=0.5)`.

    Raises:
        RecordError: the text is not a path's.
        ExtensionError: there is no such path.
        ValidationError: the path does not take these parameters.
    """
    name, parameters = parse_path(text)
    return cast(Path, PATHS.find(name).value.model_validate_json(json.dumps(parameters)))


def theta_at(
    path: Path,
    theta_0: "Mapping[str, Tensor]",
    theta_1: "Mapping[str, Tensor]",
    t: float,
    layers: "Mapping[str, Layer]",
) -> "dict[str, Tensor]":
    """`path.at` with its result checked, since the path may be a third party's.

    Raises:
        FoundationError: the path did not give a tensor like theta_1's for each name.
    """
    found: object = path.at(theta_0, theta_1, t, layers)
    if not isinstance(found, dict):
        shown = "None" if found is None else f"an object of type {type(found).__name__}"
        raise FoundationError(f"{type(path).__name__}.at gave {shown}; return a dict of tensors")
    if found.keys() != theta_1.keys():
        odd = ", ".join(sorted(found.keys() ^ theta_1.keys())[:5])
        raise FoundationError(f"{type(path).__name__}.at must give the names of theta_1; only one of them has: {odd}")
    for name, end in theta_1.items():
        if found[name].shape != end.shape or found[name].dtype != end.dtype:
            raise FoundationError(
                f"{type(path).__name__}.at gave {name} as {found[name].dtype} of shape {tuple(found[name].shape)}; "
                f"expected {end.dtype} of shape {tuple(end.shape)}"
            )
    return found
