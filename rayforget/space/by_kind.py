"""A registry -> the type of a field that holds any of its models, told apart by `kind`.

rayforget's own models are members of an ordinary union, so that errors and schema speak of them in full. A kind that is
none of them is looked for among the installed packages, when a file names it and not before.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Union

from pydantic import Discriminator, GetCoreSchemaHandler, GetJsonSchemaHandler, Tag
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from rayforget.errors import ExtensionError
from rayforget.extensions import Registry
from rayforget.space.frozen import Frozen

FOREIGN = "<extension>"
"""Tag of what another package brings, spelt so that no key looks like it."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """Annotates the member of a union that stands for every model which another package brings."""

    registry: Registry[Any]
    model_of: Callable[[Any], type[Frozen]]
    """What the registry holds -> its model."""
    changed: Callable[[type[Frozen]], type[Frozen]] | None = None
    """Makes the model that checks values from the one that was brought; None takes it as it is."""

    def model(self, kind: object) -> type[Frozen]:
        """The model of a kind; raises ExtensionError where there is none, or more than one."""
        if not isinstance(kind, str):
            raise ExtensionError(f"found kind {kind!r}; write the name of a {self.registry.noun}")
        found = self.model_of(self.registry.find(kind).value)
        return self.changed(found) if self.changed else found

    def opened(self, changed: Callable[[type[Frozen]], type[Frozen]]) -> "Foreign":
        """The same for models that are changed before they check anything."""
        return replace(self, changed=changed)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self._validate, serialization=core_schema.plain_serializer_function_ser_schema(_dumped, info_arg=True)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        own = {"type": "string", "not": {"enum": sorted(self.registry.own)}}
        return {
            "type": "object",
            "description": f"A {self.registry.noun} that an installed package brings.",
            "required": ["kind"],
            "patternProperties": {"^kind$": own},
        }

    def _validate(self, value: Any, info: core_schema.ValidationInfo) -> Frozen:
        if isinstance(value, Frozen):
            return value
        try:
            model = self.model(value["kind"])
        except ExtensionError as error:
            raise PydanticCustomError("problem", "{text}", {"text": str(error)}) from None
        if info.mode == "json":  # a space file is read strictly: 1 is no text
            return model.model_validate_json(json.dumps(value), strict=True)
        return model.model_validate(value)


def itself(model: type[Frozen]) -> type[Frozen]:
    """For registries of models."""
    return model


def any_of(registry: Registry[Any], base: type[Frozen], model_of: Callable[[Any], type[Frozen]] = itself) -> Any:
    """The type of a field that holds one of the registry's models.

    Args:
        registry: its own models are imported now.
        base: what all of them are; stands for the models of other packages.
        model_of: gives the model of what the registry holds, where that is no model itself.
    """
    own = [Annotated[model_of(registry.find(kind).value), Tag(kind)] for kind in registry.own]

    def tag_of(value: Any) -> str | None:
        kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
        return None if kind is None else kind if kind in registry.own else FOREIGN

    return Annotated[
        Union[*own, Annotated[base, Foreign(registry, model_of), Tag(FOREIGN)]],
        Discriminator(tag_of, custom_error_type=None),
    ]


def _dumped(value: Frozen, info: core_schema.SerializationInfo) -> dict[str, Any]:
    return value.model_dump(mode=info.mode, exclude_unset=bool(info.exclude_unset))
