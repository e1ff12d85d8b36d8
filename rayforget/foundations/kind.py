"""What a kind of foundations offers: the one door to a family of models, and all that is asked of it by others.

A kind is a folder behind one class. Another package brings one by an entry point of the group `rayforget.foundations`.
Neither this file nor the file with the class imports torch or a model library: a space is read without them.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from rayforget.space.foundation import FoundationConfig, FoundationRules, Spec, rules_of

if TYPE_CHECKING:
    import torch
    from torch import nn

    from rayforget.foundations.protocol import Foundation
    from rayforget.foundations.sharing import Share
    from rayforget.space.parts import Resources
    from rayforget.tasks.opening import Opened

Model = TypeVar("Model")
"""What a kind loads: theta_0 with what it needs to answer, before it knows of any task."""


class Kind(FoundationRules[Spec], Protocol[Spec, Model]):
    """A family of pretrained models, made without arguments; it holds nothing."""

    def find(self, spec: Spec) -> None:
        """Looks for what the model needs; reads no weights, and fetches nothing.

        Raises:
            FoundationError: a folder, a file in it, a model's name or its tag does not exist; the message starts with
                the key (`foundation.pretrained ...`) where that is not `foundation.model`.
            MissingExtraError: a package is not installed.
        """
        ...

    def pin(self, spec: Spec) -> Spec:
        """The same, a hub model with the commit that is taken; unchanged where none can be told."""
        ...

    def trained_layers(self, spec: Spec, head: str | None) -> "nn.Module | None":
        """The layers that a recipe with this head trains, without values; None where only loading can tell.

        Raises:
            FoundationError: as `find`.
        """
        ...

    def load(self, spec: Spec, device: "torch.device", share: "Share") -> Model:
        """The model on the device, in fp32; theta_0 lies where `share` puts it, on CPU.

        Raises:
            FoundationError: there is no such model, or its files do not fit.
        """
        ...

    def with_tasks(
        self, model: Model, spec: Spec, tasks: "Opened", *, cache: Path, resources: "Resources"
    ) -> "Foundation":
        """The model set up to be trained and scored on the tasks, all of kinds that it can be scored on.

        Items are decoded or tokenised, or found in the folder `cache`, when they are first used.
        """
        ...


def kind_of(spec: FoundationConfig) -> Kind[Any, Any]:
    """The kind of a space's foundation."""
    return cast(Kind[Any, Any], rules_of(spec.kind))
