"""The interface of a kind of foundation: the only access to a family of models for all other code.

A kind is a folder behind one class. Another package provides one by an entry point of the group
`rayforget.foundations`. Neither this file nor the class's file imports torch or a model library: spaces are read
without them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from rayforget.errors import FoundationError
from rayforget.space.foundation import FoundationConfig, FoundationRules, Spec, place_of, rules_of

if TYPE_CHECKING:
    import torch
    from torch import nn

    from rayforget.foundations.exporter import Exporter
    from rayforget.foundations.protocol import Foundation, State
    from rayforget.foundations.sharing import Share
    from rayforget.space.parts import Resources
    from rayforget.tasks.opening import Opened

Model = TypeVar("Model")
"""What a kind loads: theta_0 with what it needs to answer, before any task is known."""


class Kind(FoundationRules[Spec], Protocol[Spec, Model]):
    """A family of pretrained models; instantiated without arguments and stateless."""

    def find(self, spec: Spec) -> None:
        """Checks that what the model needs is there; reads no weights and downloads nothing.

        Raises:
            FoundationError: a folder, a file in it, a model's name or its tag does not exist; the message starts with
                the key (`foundation.pretrained ...`) unless that is `foundation.model`.
            MissingExtraError: a package is not installed.
        """
        ...

    def remarks(self, spec: Spec) -> tuple[str, ...]:
        """What `check` says of a model that `find` has found."""
        return ()

    def pin(self, spec: Spec) -> Spec:
        """The settings with a hub model's commit; unchanged if there is none to be found."""
        ...

    def trained_layers(self, spec: Spec, head: str | None) -> "nn.Module | None":
        """The layers that a recipe with this head trains, without values; None if only loading can tell.

        Raises:
            FoundationError: as `find`.
        """
        ...

    def load(self, spec: Spec, device: "torch.device", share: "Share") -> Model:
        """Loads the model onto the device in fp32; `share` decides where on the CPU theta_0 lies.

        Raises:
            FoundationError: there is no such model, or its files do not fit.
        """
        ...

    def weights(self, spec: Spec, base: "State") -> "State":
        """The tensors of a model of the base's architecture, under canonical names, on the CPU in fp32.

        Raises:
            FoundationError: as `load`; or names or shapes differ from the base's.
        """
        import torch

        from rayforget.foundations.alike import refuse_unlike
        from rayforget.foundations.sharing import keep_own

        model: Any = self.load(spec, torch.device("cpu"), keep_own)
        found: State = model.theta_0
        refuse_unlike(found, base, place_of(spec))
        return found

    def outline(self, spec: Spec) -> "State | None":
        """The model's tensors without values, before anything is loaded; None if only loading can tell.

        Raises:
            FoundationError: as `find`.
        """
        module = self.trained_layers(spec, self.head)
        return None if module is None else dict(module.named_parameters())

    def unlike(self, spec: Spec, base: Spec) -> tuple[str, ...]:
        """How the files of two models of one architecture say that they want to be run in different ways."""
        return ()

    def with_tasks(
        self, model: Model, spec: Spec, tasks: "Opened", *, cache: Path, resources: "Resources"
    ) -> "Foundation":
        """The model set up for training and scoring on the tasks, all of kinds that it can be scored on.

        Items are decoded or tokenised, or found in the folder `cache`, on first use.
        """
        ...

    def first_items(self, foundation: "Foundation") -> Mapping[str, str]:
        """Task with a training set -> its first item as the model gets it, in a line for `check`; empty if there is
        nothing to read in an item.

        Args:
            foundation: made by `with_tasks`.

        Raises:
            TaskError: an item cannot be used.
        """
        return {}

    def exporter(self, foundation: "Foundation", spec: Spec) -> "Exporter":
        """What writes this kind's models for the library that they come from.

        Args:
            foundation: made by `with_tasks`.
            spec: its settings.

        Raises:
            FoundationError: the kind has none.
        """
        raise FoundationError(
            f"foundation.kind: {spec.kind} cannot be exported: its class {type(self).__name__} has no `exporter`"
        )


def kind_of(spec: FoundationConfig) -> Kind[Any, Any]:
    """The kind of a space's foundation."""
    return cast(Kind[Any, Any], rules_of(spec.kind))
