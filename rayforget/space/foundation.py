"""The kinds of foundations that a space may name, and the half of a kind that is needed to check a space.

Nothing here imports a model library: spaces are read and checked without one.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Protocol, TypeVar

from rayforget.extensions.registry import Registry, kind_fault, no_arguments_fault
from rayforget.space.by_kind import ByKind
from rayforget.space.frozen import Frozen, Problem
from rayforget.space.tasks.any_task import Task


class FoundationConfig(Frozen):
    """A space file's settings of a foundation of any kind; each kind adds its own keys."""

    kind: str
    model: str
    """The model's name or folder."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles by the kind's name, so that a worker without its package says so instead of naming a module."""
        return _again, (self.kind, self.model_dump_json())


Spec = TypeVar("Spec", bound=FoundationConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemWords:
    """The names of a kind's items in plans and reports."""

    one: str
    """`image`"""
    many: str
    """`images`"""
    kept: str
    """Their state when a node keeps them: `decoded`."""
    keeping: str
    """How one comes to that state: `decode an image`."""
    unproven: str | None = None
    """What is unknown until then: `whether the images can be decoded`."""


class FoundationRules(Protocol[Spec]):
    """What a space must know of a kind of foundation."""

    config: type[Spec]
    """Checks the space file's settings of the foundation."""
    tasks: tuple[str, ...]
    """Kinds of tasks that it can be scored on."""
    head: str | None
    """The default of `recipe.head`."""
    without_effect: Mapping[str, str]
    """Fields of a recipe that such a foundation does not read, and why."""
    words: ItemWords

    def training_problems(self, tasks: Mapping[str, Task]) -> Iterator[Problem]:
        """Problems with the tasks' training data; called if all tasks fit and one is a speciality."""
        ...

    def local_places(self, spec: Spec) -> Iterator[tuple[str, str]]:
        """The foundation's keys whose values are places in a machine's file system, with these values."""
        ...

    def named(self, place: str, like: Spec) -> Spec:
        """The settings of a model that a command line names.

        Args:
            place: a folder, a file or a name.
            like: settings of the same kind, of which those hold that `place` does not decide.

        Raises:
            FoundationError, ValueError: it cannot be a model of this kind.
        """
        found: Spec = type(like).model_validate({**like.model_dump(), "model": place})
        return found

    def tuned(self, place: str, base: Spec) -> Spec:
        """The settings of a model that was tuned from `base`, which may be needed to make a whole of it; as `named`."""
        return self.named(place, base)

    def head_of(self, changed: Collection[str]) -> str | None:
        """The head of a recipe that changes these tensors, by canonical name: it says who scores such a model."""
        return self.head


FOUNDATIONS: Registry[type[FoundationRules[Any]]] = Registry(
    group="rayforget.foundations",
    noun="foundation",
    own={
        "clip": "rayforget.foundations.clip.kind:ClipKind",
        "causal_lm": "rayforget.foundations.causal_lm.kind:CausalLmKind",
    },
    base="rayforget.foundations.kind:Kind",
    must=(
        *("config", "tasks", "head", "without_effect", "words", "training_problems", "local_places"),
        *("find", "pin", "trained_layers", "load", "with_tasks"),
    ),
    fault=lambda name, kind: no_arguments_fault(kind) or _config_fault(name, kind.config),
)
"""Kind -> class of its `rayforget.foundations.kind.Kind`, instantiated without arguments."""


def _config_fault(name: str, config: Any) -> str | None:
    if not (isinstance(config, type) and issubclass(config, FoundationConfig)):
        return f"has config {config!r}; it must be a subclass of rayforget.space.foundation.FoundationConfig"
    return kind_fault(name, config)


@cache
def rules_of(kind: str) -> FoundationRules[Any]:
    """The kind of this name.

    Raises:
        ExtensionError: there is no such kind, or it cannot be imported.
    """
    return FOUNDATIONS.find(kind).value()


def place_of(spec: FoundationConfig) -> str:
    """Where a model lies, for people: its folder or file, else its name, with the tag of its weights if it has one."""
    places = [value for _, value in rules_of(spec.kind).local_places(spec)]
    tag = getattr(spec, "pretrained", None)
    return places[-1] if places else f"{spec.model}:{tag}" if tag else spec.model


def _again(kind: str, text: str) -> FoundationConfig:
    config: type[FoundationConfig] = rules_of(kind).config
    return config.model_validate_json(text)


Foundation = Annotated[
    FoundationConfig,
    ByKind(
        title="Foundation",
        registry=FOUNDATIONS,
        model=lambda kind: kind.config,
    ),
]
"""A foundation of any kind, checked by the kind's own model."""
