"""Recipes as nested values -> flat names and short texts, and those that distinguish trials."""

from collections.abc import Mapping, Sequence
from typing import Any


def shorten_recipe(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Nested names joined by dots, numbers to three digits, for people to read (`mirror_names` keeps every digit).

    `{"adapter": {"rank": 8}, "penalties": [{"kind": "l1", "strength": 0.1}]}` becomes
    `{"adapter.rank": "8", "penalties.l1.strength": "0.1"}`; a list of values becomes one text.
    """
    flat: dict[str, str] = {}
    for name, value in recipe.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}.{key}": text for key, text in shorten_recipe(value).items()})
        elif isinstance(value, Sequence) and value and all(isinstance(item, Mapping) for item in value):
            for item in value:
                rest = {key: inner for key, inner in item.items() if key != "kind"}
                kind = str(item.get("kind", ""))
                flat.update({f"{name}.{kind}.{key}": text for key, text in shorten_recipe(rest).items()})
        elif isinstance(value, Sequence) and not isinstance(value, str):
            flat[name] = ", ".join(_text(item) for item in value)
        else:
            flat[name] = _text(value)
    return flat


def distinguish(recipes: Sequence[Mapping[str, str]]) -> list[str]:
    """Names whose texts differ between the flat recipes, sorted, without `method`, which is shown elsewhere."""
    names = sorted({name for recipe in recipes for name in recipe} - {"method"})
    return [name for name in names if len({recipe.get(name) for recipe in recipes}) > 1]


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
