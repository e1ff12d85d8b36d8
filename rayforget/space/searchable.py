"""The model of a recipe -> a model in which every number and every choice may be a constant or a domain."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import GenericAlias, NoneType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ConfigDict, Discriminator, Field, GetCoreSchemaHandler, Tag, create_model
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

from rayforget.space.by_kind import ByKind
from rayforget.space.domains import ChoiceDomain, FloatDomain, IntDomain
from rayforget.space.frozen import Frozen, freeze, thaw
from rayforget.space.recipe import Recipe

CONSTANT, DOMAIN, CHOICE = "<constant>", "<domain>", "<choice>"
"""Tags of a field's variants, which pydantic puts into an error's location; spelt so that no key looks like one."""


# Pydantic would look for a made class's docstrings through every frame and every loaded module, in vain: seconds if
# torch and Ray are loaded. The made fields bring descriptions of their own.
_WITHOUT_SOURCE = ConfigDict(use_attribute_docstrings=False)


class _Made(Frozen):
    model_config = _WITHOUT_SOURCE


class _MadeChoice(ChoiceDomain):
    model_config = _WITHOUT_SOURCE


class _MadeFloat(FloatDomain):
    model_config = _WITHOUT_SOURCE


class _MadeInt(IntDomain):
    model_config = _WITHOUT_SOURCE


_MADE = {FloatDomain: _MadeFloat, IntDomain: _MadeInt}


@cache
def open_recipe() -> type[Frozen]:
    """The model of `recipe` and of each method: every field of Recipe, constant or domain, none required."""
    return _open(Recipe, without=("method", "seed"), complete=False)


@cache
def constant_recipe() -> type[Frozen]:
    """The model of `plain.set`: constants for the fields of Recipe that plain fine-tuning leaves to choose."""
    fields: dict[str, Any] = {
        name: (_annotation(info), _field(info, required=False))
        for name, info in Recipe.model_fields.items()
        if name not in ("method", "seed", "adapter", "penalties")
    }
    return create_model("PlainRecipe", __base__=_Made, __doc__="Constants of the baseline's recipe.", **fields)


@dataclass(frozen=True, slots=True)
class Tree:
    """Annotates a field that keeps nested dicts as written, once the model has accepted them."""

    model: Callable[[], type[Frozen]]
    """Makes the model that checks them."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            lambda value: freeze(value.model_dump(exclude_unset=True)),
            handler.generate_schema(self.model()),
            serialization=core_schema.plain_serializer_function_ser_schema(thaw),
        )


@cache
def _open(model: type[Frozen], *, without: tuple[str, ...] = (), complete: bool = True) -> type[Frozen]:
    """The model with domains allowed; `complete` keeps required fields required (in adapters and penalties)."""
    fields: dict[str, Any] = {
        name: (_open_annotation(model, name, info), _field(info, required=complete and info.is_required()))
        for name, info in model.model_fields.items()
        if name not in without
    }
    return create_model(f"Open{model.__name__}", __base__=_Made, __doc__=model.__doc__, **fields)


def _field(info: FieldInfo, *, required: bool) -> Any:
    """The field's description and default, which is only for readers of the schema: what is unset stays unset."""
    if required:
        return Field(description=info.description)
    if info.is_required():
        return Field(default_factory=lambda: None, description=info.description, validate_default=False)
    return Field(default=info.default, description=info.description, validate_default=False)


def _annotation(info: FieldInfo) -> Any:
    """The field's type with its constraints."""
    parts = (*info.metadata, *([Field(discriminator=info.discriminator)] if info.discriminator else []))
    return Annotated[info.annotation, *parts] if parts else info.annotation


def _open_annotation(model: type[Frozen], name: str, info: FieldInfo) -> Any:
    constant = _annotation(info)
    if name == "kind" or (get_origin(info.annotation) is tuple and not _models(constant)):
        return constant
    if _models(constant):
        return _with_open_models(constant)
    stem = f"{model.__name__}{name.title().replace('_', '')}"
    variants: list[Any] = [Annotated[constant, Tag(CONSTANT)], Annotated[_choice(stem, constant), Tag(CHOICE)]]
    number = _without_none(constant)
    if _base(number) in (int, float):
        variants.append(Annotated[_range(stem, number), Tag(DOMAIN)])
        return Annotated[Union[*variants], Discriminator(_tag_of_number)]
    return Annotated[Union[*variants], Discriminator(_tag_of_choice)]


def _tag_of_number(value: Any) -> str:
    if isinstance(value, ChoiceDomain) or (isinstance(value, dict) and "choice" in value):
        return CHOICE
    return DOMAIN if isinstance(value, dict | FloatDomain | IntDomain) else CONSTANT


def _tag_of_choice(value: Any) -> str:
    return CHOICE if isinstance(value, dict | ChoiceDomain) else CONSTANT


def _choice(stem: str, constant: Any) -> type[Frozen]:
    """A choice among values that the field takes."""
    info = ChoiceDomain.model_fields["choice"]
    field = (tuple[constant, ...], Field(min_length=1, description=info.description))
    return create_model(f"{stem}Choice", __base__=_MadeChoice, __doc__=ChoiceDomain.__doc__, choice=field)


def _range(stem: str, number: Any) -> type[Frozen]:
    """A range between values that the field takes."""
    base = IntDomain if _base(number) is int else FloatDomain
    ends: dict[str, Any] = {
        end: (number, Field(description=base.model_fields[end].description)) for end in ("low", "high")
    }
    return create_model(f"{stem}Range", __base__=_MADE[base], __doc__=base.__doc__, **ends)


def _with_open_models(annotation: Any) -> Any:
    """The same type with every model in it replaced by its open version."""
    if isinstance(annotation, type) and issubclass(annotation, Frozen):
        return _open(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        if by_kind := [one.changed(_open) for one in arguments[1:] if isinstance(one, ByKind)]:
            return Annotated[arguments[0], *by_kind]
        return Annotated[_with_open_models(arguments[0]), *arguments[1:]]
    if origin is tuple:
        return GenericAlias(tuple, (_with_open_models(arguments[0]), ...))
    return Union[*(_with_open_models(argument) for argument in arguments)]


def _models(annotation: Any) -> list[type[Frozen]]:
    if isinstance(annotation, type) and issubclass(annotation, Frozen):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        return Annotated[_without_none(inner), *metadata]
    members = [member for member in get_args(annotation) if member is not NoneType]
    return Union[*members] if NoneType in get_args(annotation) else annotation


def _base(annotation: Any) -> Any:
    return _base(get_args(annotation)[0]) if get_origin(annotation) is Annotated else annotation
