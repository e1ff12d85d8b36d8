"""A field whose `kind` names an extension -> values checked by that extension's model, imported when it is named."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, ValidationInfo
from pydantic.errors import PydanticUserError
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from rayforget.errors import ExtensionError
from rayforget.extensions.registry import Registry
from rayforget.space.frozen import Frozen, Problem, invalid


@dataclass(frozen=True, slots=True)
class ByKind:
    """Annotates a field that takes one of several models, which are only known when a file is read."""

    title: str
    """The value's name in errors."""
    registry: Registry[Any]
    """The kinds."""
    model: Callable[[Any], type[Frozen]]
    """The model of a kind, given what the registry has under its name."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        lax, strict = (
            core_schema.with_info_plain_validator_function(partial(self._checked, strict=strict))
            for strict in (False, True)
        )
        own_words = core_schema.simple_ser_schema("any")  # as the value's own model has it
        return core_schema.lax_or_strict_schema(lax, strict, serialization=own_words)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describes what can be loaded; of other kinds only the name is known."""
        models = {name: self.model(self.registry.find_own(name).value) for name in self.registry.own}
        models |= {name: model for name in self.registry.foreign() if (model := self._describable(name)) is not None}
        kinds: dict[Any, CoreSchema] = {name: TypeAdapter(model).core_schema for name, model in models.items()}
        described = handler(core_schema.tagged_union_schema(kinds, discriminator="kind"))
        others = [name for name in self.registry.foreign() if name not in models]
        if not others:
            return described
        kind = {"type": "object", "properties": {"kind": {"enum": others}}, "required": ["kind"]}
        return {"anyOf": [described, kind]}

    def _describable(self, name: str) -> type[Frozen] | None:
        try:
            model = self.model(self.registry.find(name).value)
            TypeAdapter(model).json_schema()
        except (ExtensionError, PydanticUserError):
            return None
        return model

    def changed(self, change: Callable[[type[Frozen]], type[Frozen]]) -> "ByKind":
        """The same annotation for models derived from these, one from each."""
        return replace(self, model=lambda found: change(self.model(found)))

    def model_for(self, value: Any) -> type[Frozen] | None:
        """The model of a value as it is written; None if it names none that can be loaded."""
        kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
        try:
            return self.model(self.registry.find(kind).value) if isinstance(kind, str) else None
        except ExtensionError:
            return None

    def _checked(self, value: Any, info: ValidationInfo, *, strict: bool) -> Frozen:
        if isinstance(value, Frozen) and type(value) is self.model_for(value):
            return value
        if not isinstance(value, dict):
            raise PydanticKnownError("model_attributes_type")
        if "kind" not in value:
            raise PydanticKnownError("union_tag_not_found", {"discriminator": "'kind'"})
        model = self._model(value["kind"])
        if info.mode == "json":
            return model.model_validate_json(json.dumps(value), strict=strict)
        return model.model_validate(value)

    def _model(self, kind: Any) -> type[Frozen]:
        if not isinstance(kind, str) or kind not in self.registry.names():
            raise invalid(self.title, [Problem(at=("kind",), text=self.registry.unknown(str(kind)))])
        try:
            return self.model(self.registry.find(kind).value)
        except ExtensionError as error:
            raise invalid(self.title, [Problem(at=("kind",), text=str(error))]) from None
