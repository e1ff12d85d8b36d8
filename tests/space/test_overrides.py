"""`--set` replaces values of the file before anything is checked, and errors then name the option."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rayforget.errors import SpaceError
from rayforget.space.domains import ChoiceDomain
from rayforget.space.load import load_space


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


MISTAKES = {
    "search.trainings=abc": 'search.trainings: found "abc"; write a whole number',
    "search.trainigs=4": "search.trainigs: unknown key; did you mean trainings?",
    "recipe.batch_size=-8": "recipe.batch_size: found -8; write a number above 0",
    "recipe.learning_rate={low: 0, high: 1}": "recipe.learning_rate.low: found 0; write a number above 0",
    "methods.l2.penalties.0.strength=no": 'methods.l2.penalties.l2.strength: found "no"; write a number',
    "curve.coarse=[0, 2]": "curve.coarse: found [0.0, 2.0]; write ascending values",
}


@pytest.mark.parametrize(("option", "text"), MISTAKES.items())
def test_a_mistake_names_the_option(small_space: Callable[..., Path], option: str, text: str) -> None:
    with pytest.raises(SpaceError) as caught:
        load_space(small_space(), [option])
    assert str(caught.value).startswith(f"--set {option}: {text}")


def test_a_later_option_does_not_answer_for_an_earlier_key(small_space: Callable[..., Path]) -> None:
    path = small_space()
    with pytest.raises(SpaceError) as caught:
        load_space(path, ["storage.keep.max_gib=0", "storage.keep.margin=0.1", "search.seed=-1"])
    told = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in told] == ["--set search.seed=-1", "--set storage.keep.max_gib=0"]


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("search.trainings", "found no key=value"),
        ("=3", "found no key=value"),
        ("a..b=3", "found no key=value"),
        ("name.first=x", "name is 'tiny', which has no keys inside"),
        ("methods.l2.penalties.kd.strength=1", "found no item kd in methods.l2.penalties"),
        ("search.trainings=[1", "not YAML"),
    ],
)
def test_an_option_of_another_form_is_refused(small_space: Callable[..., Path], option: str, text: str) -> None:
    with pytest.raises(SpaceError) as caught:
        load_space(small_space(), [option])
    assert str(caught.value).startswith(f"--set {option}")
    assert text in str(caught.value)
