"""`--set` lays values over the file before anything is checked."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rayforget.space.domains import ChoiceDomain
from rayforget.space.file.load import load_space


def test_a_value_replaces_the_files(small_space: Callable[..., Path]) -> None:
    loaded = load_space(small_space(), ["search.trainings=9", "plain.set.learning_rate=1e-3"])
    assert loaded.space.search.trainings == 9
    assert loaded.plain.recipe(seed=0).learning_rate == 1e-3


def test_the_last_option_wins(small_space: Callable[..., Path]) -> None:
    assert load_space(small_space(), ["search.seed=1", "search.seed=2"]).space.search.seed == 2


def test_missing_sections_are_made(small_space: Callable[..., Path]) -> None:
    loaded = load_space(small_space(), ["storage.keep.max_gib=1.5", "resources.slots=2"])
    assert loaded.space.storage.keep.max_gib == 1.5
    assert loaded.space.resources.slots == 2


def test_a_value_may_be_a_domain(small_space: Callable[..., Path]) -> None:
    loaded = load_space(small_space(), ["recipe.epochs={choice: [1, 2]}", "plain.set.epochs=1"])
    assert loaded.methods[0].domains["epochs"] == ChoiceDomain(choice=(1, 2))


@pytest.mark.parametrize("key", ["l2", "0"])
def test_a_penalty_is_named_by_kind_or_number(small_space: Callable[..., Path], key: str) -> None:
    loaded = load_space(small_space(), [f"methods.l2.penalties.{key}.strength=5"])
    assert loaded.methods[2].recipe({"learning_rate": 1e-4}, seed=0).penalties[0].strength == 5


def test_a_variable_can_be_set(small_space: Callable[..., Path]) -> None:
    path = small_space({1: "name: ${called}\nvars:\n  called: tiny"})
    assert load_space(path, ["vars.called=large"]).space.name == "large"


def test_an_equals_sign_in_the_value_is_kept(small_space: Callable[..., Path]) -> None:
    assert load_space(small_space(), ["tracking.uri=http://h/?a=b"]).space.tracking.uri == "http://h/?a=b"
