"""The kinds of foundations that a space may name, and what a space must know of a kind to check what goes with it.

Nothing here imports a model library: a space is read and checked without one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Protocol, TypeVar

from rayforget.extensions import Registry
from rayforget.space.by_kind import ByKind
from rayforget.space.frozen import Frozen, Problem
from rayforget.space.tasks import Task


class FoundationConfig(Frozen):
    """What a space file says of a foundation of any kind; each kind adds its own keys."""

    kind: str
    model: str
    """The model's name or folder."""

    def __reduce__(self) -> tuple[Any, ...]:
        """By its kind's name: a worker without the package that brings it says so, instead of naming a module."""
        return _again, (self.kind, self.model_dump_json())


Spec = TypeVar("Spec", bound=FoundationConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemWords:
    """What a kind's items are called in plans and reports."""

    one: str
    """`image`"""
    many: str
    """`images`"""
    kept: str
    """What they are when a node keeps them: `decoded`."""
    keeping: str
    """What that is of one: `decode an image`."""
    unproven: str | None = None
    """What is not known before they are kept: `whether the images can be decoded`."""


class FoundationRules(Protocol[Spec]):
    """What a space must know of a kind of foundations."""

    config: type[Spec]
    """Checks what the space file says of the foundation."""
    tasks: tuple[str, ...]
    """Kinds of tasks that it can be scored on."""
    head: str | None
    """`recipe.head` where a recipe names none."""
    without_effect: Mapping[str, str]
    """Fields of a recipe that nothing reads with such a foundation, and why."""
    words: ItemWords

    def training_problems(self, tasks: Mapping[str, Task]) -> Iterator[Problem]:
        """What is wrong with what the tasks give to train on; asked where all tasks fit and one is a speciality."""
        ...

    def local_places(self, spec: Spec) -> Iterator[tuple[str, str]]:
        """Keys of the foundation whose values name a place in some machine's file system, with these values."""
        ...


FOUNDATIONS: Registry[type[FoundationRules[Any]]] = Registry(
    group="rayforget.foundations",
    noun="foundation",
    own={
        "clip": "rayforget.foundations.clip.kind:ClipKind",
        "causal_lm": "rayforget.foundations.causal_lm.kind:CausalLmKind",
    },
)
"""Kind -> class of its `rayforget.foundations.kind.Kind`, made without arguments."""


@cache
def rules_of(kind: str) -> FoundationRules[Any]:
    """The kind of this name.

    Raises:
        ExtensionError: there is none, or it cannot be imported.
    """
    return FOUNDATIONS.find(kind).value()


def _again(kind: str, text: str) -> FoundationConfig:
    config: type[FoundationConfig] = rules_of(kind).config
    return config.model_validate_json(text)


Foundation = Annotated[
    FoundationConfig,
    ByKind(
        title="Foundation",
        own=tuple(FOUNDATIONS.own),
        names=FOUNDATIONS.names,
        model=lambda kind: rules_of(kind).config,
    ),
]
"""A foundation of any kind, checked by the kind's own model."""
