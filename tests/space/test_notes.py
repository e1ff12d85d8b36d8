"""What is allowed but may not be meant is noted, and nothing else is."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rayforget.space.load import load_space
from rayforget.space.notes import notes


def test_a_balanced_space_has_no_notes(small_space: Callable[..., Path]) -> None:
    assert notes(load_space(small_space({32: "  trainings: 30"}))) == ()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["search.trainings=31"], "31 trainings do not divide evenly over 3 methods, and .*; 33 would"),
        (["search.trainings=32", "search.seeds=2"], "over 3 methods x 2 seeds, and .*; 36 would"),
        (["search.trainings=9"], "all 9 trainings are drawn at random"),
        (["search.trainings=30", "search.sampler=nsga2"], "nsga2 is told the asked point"),
        (["search.trainings=30", "methods.full.learning_rate=1e-4"], r"methods\.full: has no domain"),
    ],
)
def test_what_may_not_be_meant_is_noted(small_space: Callable[..., Path], options: list[str], text: str) -> None:
    (note,) = notes(load_space(small_space(), options))
    assert re.search(text, note)
