"""YAML is read as version 1.2 has it, with a place for every key and item."""

from typing import Any

import pytest
import yaml

from rayforget.errors import SpaceError
from rayforget.space.file.document import At, read_document, read_yaml

SCALARS: dict[str, Any] = {
    "1e-3": 0.001,
    "1E5": 100000.0,
    "-.5": -0.5,
    "1.": 1.0,
    "+3": 3,
    "007": 7,
    "0x1F": 31,
    "0o17": 15,
    "-.inf": float("-inf"),
    "true": True,
    "FALSE": False,
    "~": None,
    "null": None,
    "yes": "yes",
    "no": "no",
    "on": "on",
    "1:30": "1:30",
    "1_000": "1_000",
    "2024-01-01": "2024-01-01",
    "1e": "1e",
    "'1e-3'": "1e-3",
    '"true"': "true",
    "!!str 5": "5",
    "!!float 5": 5.0,
    "=": "=",
}


@pytest.mark.parametrize(("text", "value"), SCALARS.items())
def test_a_scalar_is_what_yaml_1_2_says(text: str, value: Any) -> None:
    found = read_yaml(text, "x")
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_read() -> None:
    assert str(read_yaml(".nan", "x")) == "nan"


def test_a_scalar_that_contradicts_its_tag_is_refused() -> None:
    with pytest.raises(SpaceError, match="x:1: found 'abc' tagged as int"):
        read_yaml("!!int abc", "x")


def test_an_empty_value_is_null() -> None:
    assert read_yaml("a:\nb: 1", "x") == {"a": None, "b": 1}


def test_agrees_with_pyyaml_where_both_versions_do() -> None:
    text = "a: [1, 2.5, x, null, true]\nb: {c: 'd e'}\nf: |\n  two\n  lines\ng: &h {i: 1}\nj: *h\n"
    assert read_yaml(text, "x") == yaml.safe_load(text)


def test_every_key_and_item_has_its_line() -> None:
    text = "a:\n  b: 1\n  c:\n    - 2\n    - kind: k\n      d: 3\n    - {e: 4,\n       f: 5}\n"
    places: dict[At, str] = {}
    read_yaml(text, "x", places)
    assert places == {
        ("a",): "x:1",
        ("a", "b"): "x:2",
        ("a", "c"): "x:3",
        ("a", "c", 0): "x:4",
        ("a", "c", "k"): "x:5",
        ("a", "c", "k", "kind"): "x:5",
        ("a", "c", "k", "d"): "x:6",
        ("a", "c", 2): "x:7",
        ("a", "c", 2, "e"): "x:7",
        ("a", "c", 2, "f"): "x:8",
    }


def test_what_has_no_place_is_where_its_nearest_holder_is() -> None:
    document = read_document("\na:\n  b: 1\n", "x")
    assert document.where(("a", "b", "c", 3)) == "x:3"
    assert document.where(("z",)) == "x:1"
