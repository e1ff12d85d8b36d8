"""`curve.paths`: constants, grids and domains become paths by their texts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from rayforget.space.curve_paths import curve_paths
from rayforget.space.domains import ChoiceDomain, FloatDomain
from rayforget.space.file.load import load_space
from rayforget.space.file.schema import json_schema
from rayforget.space.models import Space
from rayforget.space.parts import Curve


def test_without_a_word_it_is_the_lerp_alone() -> None:
    assert curve_paths(Curve().paths).fixed == ("lerp",)
    assert curve_paths(Curve().paths).searched == ()


def test_a_grid_is_a_path_for_each_of_its_values_and_several_grids_are_all_pairs() -> None:
    curve = Curve.model_validate(
        {
            "paths": {
                "lines": {"gamma": {"grid": [0.5, 0.1, 0.5]}},
                "lerp": {},
                "blocks": {"leads": [0, {"grid": [0.5, 1]}, {"grid": [0, 1]}]},
            }
        }
    )
    assert curve_paths(curve.paths).fixed == (
        "lerp",
        "blocks(leads=[0,0.5,0])",
        "blocks(leads=[0,0.5,1])",
        "blocks(leads=[0,1,0])",
        "blocks(leads=[0,1,1])",
        "lines(gamma=0.5)",
        "lines(gamma=0.1)",
    )


def test_domains_are_found_wherever_they_are_and_filled_with_values() -> None:
    leads = [0, {"low": 0.25, "high": 1}, {"choice": [0, 0.5]}]
    curve = Curve.model_validate({"paths": {"lerp": {}, "blocks": {"leads": leads, "search": {"evaluations": 8}}}})
    (path,) = curve_paths(curve.paths).searched
    assert path.domains == {
        ("leads", 1): FloatDomain(low=0.25, high=1),
        ("leads", 2): ChoiceDomain(choice=(0, 0.5)),
    }
    assert path.evaluations == 8
    assert path.text({("leads", 1): 0.75, ("leads", 2): 0.5}) == "blocks(leads=[0,0.75,0.5])"


def test_a_space_with_paths_is_recorded_and_read_again(small_space: Callable[..., Path]) -> None:
    text = "{lerp: {}, lines: {gamma: {grid: [0.1, 0.5]}}}"
    space = load_space(small_space(add=f"curve:\n  paths: {text}\n")).space
    again = Space.model_validate_json(space.model_dump_json())
    assert again == space
    assert curve_paths(again.curve.paths).fixed == ("lerp", "lines(gamma=0.1)", "lines(gamma=0.5)")
    recorded = space.model_dump(mode="json")
    del recorded["curve"]["paths"]  # a sweep from before there were paths
    assert curve_paths(Space.model_validate(recorded).curve.paths).fixed == ("lerp",)


PATHS: list[tuple[dict[str, Any], bool]] = [
    ({"lerp": {}}, True),
    ({"lerp": {}, "lines": {"gamma": 0.5}}, True),
    ({"lerp": {}, "lines": {"gamma": {"grid": [0.1, 0.5]}}}, True),
    ({"lerp": {}, "lines": {"gamma": {"low": 0, "high": 1}, "search": {"evaluations": 4}}}, True),
    (
        {"lerp": {}, "blocks": {"leads": [0, {"low": 0, "high": 1}, {"choice": [0, 1]}], "search": {"evaluations": 4}}},
        True,
    ),
    ({"lerp": {}, "blocks": {"leads": {"grid": [[0, 1], [1, 0]]}}}, True),
    ({"lerp": {}, "of_another_package": {"anything": [1]}}, True),
    ({"lerp": {"gamma": 1}}, False),
    ({"lerp": {}, "lines": {}}, False),
    ({"lerp": {}, "lines": {"gamma": 2}}, False),
    ({"lerp": {}, "lines": {"gamma": {"grid": []}}}, False),
    ({"lerp": {}, "lines": {"gamma": {"low": 0, "high": 1}, "search": {}}}, False),
]


@pytest.mark.parametrize(("paths", "fits"), PATHS)
def test_the_schema_knows_the_paths(paths: dict[str, Any], fits: bool) -> None:
    schema = json_schema()
    curve = {"$ref": "#/$defs/Curve", "$defs": schema["$defs"]}
    assert jsonschema.Draft202012Validator(curve).is_valid({"paths": paths}) == fits


def test_a_misspelt_parameter_is_told_what_it_may_mean() -> None:
    with pytest.raises(ValueError, match=r"unknown key; did you mean gamma\?"):
        Curve.model_validate({"paths": {"lerp": {}, "lines": {"gama": 0.5, "gamma": 0.5}}})
    with pytest.raises(ValueError, match=r"unknown key; this path has no such parameter \(it has gamma\): remove it"):
        Curve.model_validate({"paths": {"lerp": {}, "lines": {"width": 0.5, "gamma": 0.5}}})
