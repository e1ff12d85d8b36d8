"""Frozen values refuse changes at every depth, compare, hash and travel like values."""

import copy
import json
import pickle

import pytest

from rayforget.space.frozen import FrozenDict, freeze, thaw

TREE = {"a": [1, {"b": [2, 3]}], "c": {"d": None}}


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.__setitem__("a", 1),
        lambda it: it.__delitem__("a"),
        lambda it: it.update(a=1),
        lambda it: it.setdefault("z", 1),
        lambda it: it.pop("a"),
        lambda it: it.popitem(),
        lambda it: it.clear(),
        lambda it: it.__ior__({"z": 1}),
    ],
)
def test_no_way_of_changing_a_dict_is_open(change) -> None:  # type: ignore[no-untyped-def]
    frozen = freeze(TREE)
    for one in (frozen, frozen["c"], frozen["a"][1]):
        with pytest.raises(TypeError, match="cannot be changed"):
            change(one)
    assert thaw(frozen) == TREE


def test_freezing_and_thawing_are_inverse() -> None:
    assert thaw(freeze(TREE)) == TREE
    assert freeze(thaw(freeze(TREE))) == freeze(TREE)


def test_a_frozen_tree_is_a_value() -> None:
    frozen = freeze(TREE)
    assert hash(frozen) == hash(freeze(dict(reversed(TREE.items()))))
    for travelled in (pickle.loads(pickle.dumps(frozen)), copy.deepcopy(frozen), copy.copy(frozen)):
        assert travelled == frozen
        assert type(travelled) is FrozenDict
        assert type(travelled["c"]) is FrozenDict
    assert json.loads(json.dumps(frozen)) == TREE


def test_a_copy_can_be_changed() -> None:
    thawed = thaw(freeze(TREE))
    thawed["a"][1]["b"].append(4)
    assert TREE["a"][1]["b"] == [2, 3]  # type: ignore[index]
