"""A recipe's key depends only on what is trained."""

from typing import Any

import pytest
from pydantic import ValidationError

from rayforget.space.recipe import Recipe

BASE: dict[str, Any] = {"method": "m", "learning_rate": 1e-4, "epochs": 1, "batch_size": 4, "seed": 0}
L2 = {"kind": "l2", "strength": 1}
KD = {"kind": "kd", "strength": 1}


def _key(**changes: Any) -> str:
    return Recipe.model_validate({**BASE, **changes}).key


def test_the_key_is_the_same_on_every_machine() -> None:
    assert _key() == "896ef569bb82"


def test_equal_recipes_have_equal_keys_however_they_are_written() -> None:
    assert _key(penalties=[L2, KD]) == _key(penalties=[KD, {**L2, "strength": 1.0}])
    lora = {"kind": "lora", "rank": 2}
    assert _key(adapter={**lora, "targets": ["a", "b"]}) == _key(adapter={**lora, "targets": ["b", "a"]})
    assert _key(adapter=lora) == _key(adapter={**lora, "scale": 2})


def test_settings_that_came_later_change_no_older_key_and_no_record() -> None:
    assert _key(adapter={"kind": "lora", "rank": 3}) == "a9e3badd1b27"
    plain = Recipe.model_validate({**BASE, "adapter": {"kind": "lora", "rank": 3}})
    assert plain.adapter.model_dump_json() == ('{"kind":"lora","rank":3,"scale":2.0,"dropout":0.0,"targets":null}')
    later = [{"use_dora": True}, {"use_rslora": True}, {"loraplus_lr_ratio": 16.0}, {"modules_to_save": ["x"]}]
    recipes = [Recipe.model_validate({**BASE, "adapter": {"kind": "lora", "rank": 3, **one}}) for one in later]
    assert len({recipe.key for recipe in (plain, *recipes)}) == 1 + len(later)
    assert all(Recipe.model_validate_json(recipe.model_dump_json()) == recipe for recipe in recipes)


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"method": "n"}, {"penalties": [L2]}, {"learning_rate": 1.0000001e-4}, {"head": "frozen"}]
)
def test_another_recipe_has_another_key(change: dict[str, Any]) -> None:
    assert _key(**change) != _key()


@pytest.mark.parametrize(
    "change",
    [
        {"penalties": [L2, L2]},
        {"penalties": [L2], "adapter": {"kind": "lora", "rank": 1}},
        {"accumulation": 3},
        {"penalties": [{"kind": "l2", "strength": float("inf")}]},
        {"adapter": {"kind": "lora", "rank": 1, "targets": ["a"], "modules_to_save": ["a"]}},
    ],
)
def test_a_contradiction_is_refused_in_code_as_well(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _key(**change)


@pytest.mark.parametrize("kind", ["l1_coupled", "l2_coupled", "kd"])
def test_penalties_that_lora_has_are_taken(kind: str) -> None:
    _key(penalties=[{"kind": kind, "strength": 1}], adapter={"kind": "lora", "rank": 1})
