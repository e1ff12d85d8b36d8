"""`curve.paths` as a field: kept as written, and described to editors with the built-in paths' parameters."""

from contextlib import suppress
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from rayforget.errors import ExtensionError
from rayforget.space.curve_paths import GRID, PATHS, SEARCH, PathSearch
from rayforget.space.domains import ChoiceDomain, FloatDomain
from rayforget.space.frozen import Frozen, FrozenDict, Name, freeze, thaw


class _Paths:
    """The field's reader, writer and schema."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            freeze,
            handler.generate_schema(dict[Name, dict[str, Any]]),
            serialization=core_schema.plain_serializer_function_ser_schema(thaw),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describes every path that can be loaded, and allows others: they may be installed elsewhere."""
        paths = {name: PATHS.find_own(name).value for name in PATHS.own}
        for name in PATHS.foreign():
            with suppress(ExtensionError):
                paths[name] = PATHS.find(name).value
        described = {name: _described(name, path) for name, path in paths.items()}
        return {"title": "Paths", "type": "object", "properties": described, "additionalProperties": {"type": "object"}}


WrittenPaths = Annotated[FrozenDict[str, FrozenDict[str, Any]], _Paths]
"""Name -> parameters, as written."""


def _described(name: str, path: type[Frozen]) -> dict[str, Any]:
    schema = path.model_json_schema()
    properties = {key: _open(value) for key, value in schema.get("properties", {}).items()}
    search = {**PathSearch.model_json_schema(), "description": PathSearch.__doc__}
    return {
        "title": name,
        "description": schema.get("description", name),
        "type": "object",
        "properties": {**properties, SEARCH: search},
        "required": schema.get("required", []),
        "additionalProperties": False,
    }


def _open(constant: dict[str, Any]) -> dict[str, Any]:
    """A constant's schema -> that of the constant, a grid of them, or a domain; for a list also of its items."""
    described: dict[str, Any] = {key: constant[key] for key in ("title", "description") if key in constant}
    value = {key: item for key, item in constant.items() if key not in described}
    domains = [ChoiceDomain.model_json_schema()]
    if value.get("type") in ("number", "integer"):
        domains.append(FloatDomain.model_json_schema())
    variants = [value, _grid(value), *domains]
    if value.get("type") == "array":
        variants[0] = {**value, "items": _open(value["items"])}
    return {**described, "anyOf": variants}


def _grid(value: dict[str, Any]) -> dict[str, Any]:
    items = {"type": "array", "items": value, "minItems": 1, "description": "A path for each of these values."}
    return {
        "title": "Grid",
        "type": "object",
        "properties": {GRID: items},
        "required": [GRID],
        "additionalProperties": False,
    }
