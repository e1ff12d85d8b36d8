"""The JSON Schema describes every key, allows domains where the reader does, and accepts the shipped spaces."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from plugins.outsiders import install, write_package

from rayforget.space.file.document import read_yaml
from rayforget.space.file.schema import json_schema
from rayforget.space.recipe import Recipe
from rayforget.space.shipped import shipped, shipped_names


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            yield schema
        for value in schema.values():
            yield from _objects(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _objects(value)


def test_the_schema_is_json_and_says_which_draft_it_is() -> None:
    assert json.loads(json.dumps(json_schema())) == json_schema()
    assert json_schema()["$schema"].endswith("2020-12/schema")


def test_every_key_is_described_and_no_other_is_allowed() -> None:
    definitions = json_schema()["$defs"]
    for schema in _objects(json_schema()):
        open_to_other_packages = schema["title"] == "Paths"
        assert open_to_other_packages or schema["additionalProperties"] is False, schema["title"]
        for key, value in schema["properties"].items():
            described = {**definitions.get(value.get("$ref", "").rpartition("/")[2], {}), **value}
            assert key == "kind" or "description" in described, f"{schema['title']}.{key}"


def test_every_field_of_a_recipe_is_there_and_none_is_required() -> None:
    schema = json_schema()["$defs"]["OpenRecipe"]
    assert set(schema["properties"]) == Recipe.model_fields.keys() - {"method", "seed"}
    assert "required" not in schema


def test_the_small_space_is_accepted(validator: Any, small_space: Callable[..., Path]) -> None:
    validator.validate(read_yaml(small_space().read_text(), "x"))


@pytest.mark.parametrize("name", shipped_names())
def test_shipped_spaces_are_accepted(validator: Any, name: str) -> None:
    validator.validate(read_yaml(shipped(name).read_text(), name))


RECIPES: list[tuple[dict[str, Any], bool]] = [
    ({"learning_rate": 1e-4}, True),
    ({"learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}}, True),
    ({"learning_rate": {"choice": [1e-4, 1e-3]}}, True),
    ({"learning_rate": {"low": 0, "high": 1}}, False),
    ({"learning_rate": {"low": 1}}, False),
    ({"learning_rate": "fast"}, False),
    ({"epochs": {"low": 1, "high": 2.5}}, False),
    ({"clip_norm": None}, True),
    ({"clip_norm": {"choice": [None, 1.0]}}, True),
    ({"head": {"choice": ["frozen", "text"]}}, True),
    ({"head": {"low": 1, "high": 2}}, False),
    ({"compile": {"choice": [True, False]}}, True),
    ({"adapter": {"kind": "lora", "rank": {"low": 1, "high": 8}}}, True),
    ({"adapter": {"kind": "lora"}}, False),
    ({"adapter": {"kind": "full", "rank": 1}}, False),
    ({"penalties": [{"kind": "kd", "strength": {"low": 1, "high": 2}, "temperature": {"choice": [1]}}]}, True),
    ({"penalties": [{"kind": "l2", "strength": 1, "temperature": 1}]}, False),
    ({"seed": 1}, False),
    ({"learning_rat": 1}, False),
]


@pytest.mark.parametrize(("recipe", "fits"), RECIPES)
def test_the_schema_knows_domains(
    validator: Any, small_space: Callable[..., Path], recipe: dict[str, Any], fits: bool
) -> None:
    space = read_yaml(small_space().read_text(), "x")
    space["methods"]["one"] = recipe
    assert validator.is_valid(space) == fits


def test_installed_extensions_are_described_and_what_cannot_be_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, small_space: Callable[..., Path]
) -> None:
    install("huber", tmp_path)
    install("trim", tmp_path)
    write_package(tmp_path, "thief", {"l2": "X"}, group="rayforget.penalties")
    write_package(tmp_path, "path_thief", {"lines": "X"}, group="rayforget.paths")
    write_package(tmp_path, "torn", {"torn": "X"}, "raise RuntimeError('torn')", group="rayforget.penalties")
    monkeypatch.syspath_prepend(tmp_path)
    checked = jsonschema.Draft202012Validator(json_schema())
    warned = [record.getMessage() for record in caplog.records]
    assert len(warned) == 3
    assert "left out of the schema: l2 is rayforget's own penalty, and thief brings another of that name; " in warned[0]
    assert "not described in the schema: penalty 'torn' of package torn cannot be imported (Runtime" in warned[1]
    assert "left out of the schema: lines is rayforget's own path, and path_thief brings" in warned[2]
    space = read_yaml(small_space().read_text(), "x")
    for penalty, fits in (
        ({"kind": "huber", "strength": {"low": 1, "high": 2}, "width": {"choice": [0.1]}}, True),
        ({"kind": "huber", "strength": 1}, False),
        ({"kind": "huber", "strength": 1, "width": 0}, False),
        ({"kind": "l2", "strength": 1}, True),
        ({"kind": "torn", "anything": 1}, True),
        ({"kind": "nobody", "strength": 1}, False),
    ):
        space["methods"]["one"] = {"penalties": [penalty]}
        assert checked.is_valid(space) == fits, penalty
    space["methods"]["one"] = {}
    for path, fits in (({"keep": {"grid": [0.5]}}, True), ({"keep": 2}, False), ({"kep": 0.5}, False)):
        space["curve"] = {"paths": {"lerp": {}, "trim": path}}
        assert checked.is_valid(space) == fits, path
