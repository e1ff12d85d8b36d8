"""Methods overlay the common recipe; their domains follow from it, and chosen values make whole recipes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rayforget.errors import SpaceError
from rayforget.space.domains import ChoiceDomain, FloatDomain, IntDomain
from rayforget.space.file.load import LoadedSpace, load_space
from rayforget.space.recipe import Recipe


def _methods(loaded: LoadedSpace) -> dict[str, Any]:
    return {method.name: method for method in loaded.methods}


def test_a_domain_exists_only_where_its_setting_does(small_space: Callable[..., Path]) -> None:
    methods = _methods(load_space(small_space()))
    rate = FloatDomain(low=1e-5, high=1e-3, log=True)
    assert methods["full"].domains == {"learning_rate": rate}
    assert methods["lora"].domains == {"learning_rate": rate, "adapter.rank": IntDomain(low=1, high=8)}
    strength = FloatDomain(low=1, high=10, log=True)
    assert methods["l2"].domains == {"learning_rate": rate, "penalties.l2.strength": strength}


def test_domains_have_the_three_public_types(small_space: Callable[..., Path]) -> None:
    loaded = load_space(small_space({19: "  epochs: {choice: [1, 2]}", 30: "    {learning_rate: 1e-4, epochs: 1}"}))
    types = {type(domain) for method in loaded.methods for domain in method.domains.values()}
    assert types == {FloatDomain, IntDomain, ChoiceDomain}


def test_chosen_values_make_a_recipe(small_space: Callable[..., Path]) -> None:
    methods = _methods(load_space(small_space()))
    recipe = methods["lora"].recipe({"learning_rate": 1e-3, "adapter.rank": 8}, seed=3)
    assert recipe == Recipe.model_validate(
        {
            "method": "lora",
            "head": "frozen",
            "adapter": {"kind": "lora", "rank": 8},
            "learning_rate": 1e-3,
            "epochs": 2,
            "batch_size": 8,
            "seed": 3,
        }
    )
    l2 = methods["l2"].recipe({"learning_rate": 1e-5, "penalties.l2.strength": 10}, seed=0)
    assert l2.penalties[0].model_dump() == {"kind": "l2", "strength": 10.0}


def test_making_a_recipe_leaves_the_method_as_it_was(small_space: Callable[..., Path]) -> None:
    method = _methods(load_space(small_space()))["l2"]
    first = method.recipe({"learning_rate": 1e-4, "penalties.l2.strength": 2}, seed=0)
    method.recipe({"learning_rate": 1e-3, "penalties.l2.strength": 9}, seed=1)
    assert method.recipe({"learning_rate": 1e-4, "penalties.l2.strength": 2}, seed=0) == first


@pytest.mark.parametrize(
    "values",
    [{}, {"learning_rate": 1e-4}, {"learning_rate": 1e-4, "adapter.rank": 2, "epochs": 1}],
)
def test_values_must_match_the_domains(small_space: Callable[..., Path], values: dict[str, Any]) -> None:
    with pytest.raises(SpaceError, match=r"expected one for each of adapter\.rank, learning_rate"):
        _methods(load_space(small_space()))["lora"].recipe(values, seed=0)


@pytest.mark.parametrize("rank", [0, 9, 1.5, True, None, "2"])
def test_a_value_outside_of_its_domain_is_refused(small_space: Callable[..., Path], rank: Any) -> None:
    with pytest.raises(SpaceError, match=r"method lora: adapter\.rank = .* lies outside"):
        _methods(load_space(small_space()))["lora"].recipe({"learning_rate": 1e-4, "adapter.rank": rank}, seed=0)


def test_a_method_replaces_a_common_domain_whole(small_space: Callable[..., Path]) -> None:
    loaded = load_space(small_space({22: "  full: {learning_rate: {choice: [1e-4]}}\n  fixed: {learning_rate: 1e-4}"}))
    methods = _methods(loaded)
    assert methods["full"].domains == {"learning_rate": ChoiceDomain(choice=(1e-4,))}
    assert methods["fixed"].domains == {}
    assert methods["fixed"].recipe(seed=0).learning_rate == 1e-4


def test_a_method_replaces_common_penalties_and_adapter_whole(small_space: Callable[..., Path]) -> None:
    common = "  adapter: {kind: lora, rank: 2, dropout: 0.5}\n  penalties: [{kind: kd, strength: 1}]"
    path = small_space(
        {
            20: f"  batch_size: 8\n{common}",
            24: "    adapter: {kind: lora, rank: 4}",
            26: "    adapter: {kind: full}\n    penalties:",
        }
    )
    methods = _methods(load_space(path))
    full = methods["full"].recipe({"learning_rate": 1e-4}, seed=0)
    assert (full.adapter.kind, [one.kind for one in full.penalties]) == ("lora", ["kd"])
    lora = methods["lora"].recipe({"learning_rate": 1e-4}, seed=0)
    assert lora.adapter.model_dump(include={"rank", "dropout"}) == {"rank": 4, "dropout": 0.0}
    l2 = methods["l2"].recipe({"learning_rate": 1e-4, "penalties.l2.strength": 1}, seed=0)
    assert (l2.adapter.kind, [one.kind for one in l2.penalties]) == ("full", ["l2"])


def test_the_baseline_has_neither_penalty_nor_adapter_of_the_common_recipe(small_space: Callable[..., Path]) -> None:
    common = "  adapter: {kind: lora, rank: {low: 1, high: 2}}\n  penalties: [{kind: kd, strength: {choice: [1]}}]"
    loaded = load_space(
        small_space({20: f"  batch_size: 8\n{common}", 26: "    adapter: {kind: full}\n    penalties:"})
    )
    plain = loaded.plain.recipe(seed=2)
    assert (plain.method, plain.adapter.kind, plain.penalties, plain.seed) == ("plain", "full", (), 2)
    assert plain.learning_rate == 1e-4


def test_plain_set_may_change_a_common_constant(small_space: Callable[..., Path]) -> None:
    loaded = load_space(small_space({30: "    learning_rate: 1e-4\n    epochs: 7"}))
    assert loaded.plain.recipe(seed=0).epochs == 7


@pytest.mark.parametrize(("line", "head"), [("", "frozen"), ("\n  head: null", "frozen"), ("\n  head: text", "text")])
def test_a_clip_models_head_is_frozen_unless_it_is_said(small_space: Callable[..., Path], line: str, head: str) -> None:
    loaded = load_space(small_space({20: f"  batch_size: 8{line}"}))
    assert loaded.plain.recipe(seed=0).head == head
    assert loaded.methods[0].recipe({"learning_rate": 1e-4}, seed=0).head == head


def test_null_may_be_a_choice(small_space: Callable[..., Path]) -> None:
    path = small_space(
        {20: "  batch_size: 8\n  clip_norm: {choice: [null, 1]}", 30: "    {learning_rate: 1, clip_norm: null}"}
    )
    loaded = load_space(path)
    recipe = loaded.methods[0].recipe({"learning_rate": 1e-4, "clip_norm": None}, seed=0)
    assert recipe.clip_norm is None


def test_the_order_of_penalties_is_not_part_of_a_recipe(small_space: Callable[..., Path]) -> None:
    first, second = "{kind: l2, strength: 1}", "{kind: kd, strength: 2, temperature: 3}"
    keys = set()
    for order in ([first, second], [second, first]):
        loaded = load_space(small_space({27: "\n".join(f"      - {one}" for one in order)}))
        keys.add(_methods(loaded)["l2"].recipe({"learning_rate": 1e-4}, seed=0).key)
    assert len(keys) == 1
