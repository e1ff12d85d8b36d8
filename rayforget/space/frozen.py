"""The base of all models of outside input: deeply frozen, strict about keys, documented field by field."""

from collections.abc import Iterable
from dataclasses import dataclass
from types import GenericAlias
from typing import Annotated, Any, ClassVar, Generic, NoReturn, Self, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

K = TypeVar("K")
V = TypeVar("V")

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=100)]
"""Used in file names, metric names and parameter names: lower-case letters, digits, _ and -, 100 at most."""


class FrozenDict(dict[K, V], Generic[K, V]):
    """A dict that refuses every change; hashable if its values are, and pickled as itself."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("these values were read from a space and cannot be changed; make a new dict(...) of them")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return (FrozenDict, (dict(self),))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        plain = GenericAlias(dict, get_args(source) or (str, Any))
        return core_schema.no_info_after_validator_function(FrozenDict, handler.generate_schema(plain))


def freeze(tree: Any) -> Any:
    """The same tree with FrozenDict for every mapping and a tuple for every list."""
    if isinstance(tree, dict):
        return FrozenDict({key: freeze(value) for key, value in tree.items()})
    if isinstance(tree, list | tuple):
        return tuple(freeze(value) for value in tree)
    return tree


def thaw(tree: Any) -> Any:
    """The inverse of `freeze`, made of plain dicts and lists."""
    if isinstance(tree, dict):
        return {key: thaw(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [thaw(value) for value in tree]
    return tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A contradiction between values that are each valid alone: what was found and expected, what to do, and where."""

    at: tuple[str | int, ...]
    """Keys from the checked value down to the one to change."""
    text: str


class Frozen(BaseModel):
    """Immutable values read from a file or a command line; an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
    )

    def problems(self) -> Iterable[Problem]:
        """Contradictions between fields; checked at every construction, and overridden by models that can have some."""
        return ()

    @model_validator(mode="after")
    def _without_problems(self) -> Self:
        if problems := list(self.problems()):
            raise invalid(type(self).__name__, problems)
        return self


class Later(Frozen):
    """Values with fields that later versions added, which are written only where they differ from their defaults.

    Older recipes so keep the bytes of their records, their keys, and with these their seeds.
    """

    later: ClassVar[tuple[str, ...]] = ()
    """Names of those fields."""

    @model_serializer(mode="wrap")
    def _as_before(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields = type(self).model_fields
        written: dict[str, Any] = handler(self)
        at_default = {name for name in self.later if getattr(self, name) == fields[name].default}
        return {name: value for name, value in written.items() if name not in at_default}


def invalid(title: str, problems: Iterable[Problem]) -> ValidationError:
    """The problems as pydantic's own error: raised inside a validator it joins the others, each at its key."""
    return ValidationError.from_exception_data(
        title,
        [
            InitErrorDetails(type=PydanticCustomError("problem", "{text}", {"text": it.text}), loc=it.at, input=None)
            for it in problems
        ],
    )
