"""The architecture page shows the very code of the examples, which the other tests run."""

import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "architecture.md").read_text()


@pytest.mark.parametrize(
    ("heading", "name", "group", "first"),
    [
        ("## How to add a penalty", "huber", "penalties", "class HuberPenalty(Penalty)"),
        ("## How to add a metric", "macro_f1", "metrics", "class MacroF1(Metric)"),
        ("## How to add an interpolation", "trim", "paths", "class Trim(Path)"),
    ],
)
def test_an_example_is_the_one_that_is_tested(heading: str, name: str, group: str, first: str) -> None:
    section = PAGE.partition(f"{heading}\n")[2].partition("\n## ")[0]
    example = section.partition("```python\n")[2].partition("```")[0]
    assert example.startswith(first)
    assert example in (HERE / name / f"rayforget_{name}.py").read_text()
    points = tomllib.loads((HERE / name / "pyproject.toml").read_text())["project"]["entry-points"]
    shown = tomllib.loads(section.partition("```\n[project")[2].join(["[project", ""]).partition("```")[0])
    assert shown["project"]["entry-points"] == points == {f"rayforget.{group}": points[f"rayforget.{group}"]}
