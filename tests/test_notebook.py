"""docs/notebook.ipynb runs from its first cell to its last on a recorded sweep, and shows what it promises."""

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from synthetic_sweep import add_tests, make_records, make_space, make_sweep, untested

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebook.ipynb"


@pytest.mark.slow
def test_the_notebook_shows_figure_tables_and_picks(tmp_path: Path) -> None:
    space = make_space(tmp_path / "runs", trainings=7, seeds=3)
    records, tests = make_records(trials=7, fractions=(1.0,), scale=0.1)
    sweep = make_sweep(space, "quickstart", records, at=1.7e9)
    add_tests(sweep, untested(sweep), tests, at=1.7e9)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = {cell.source: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    picture = output_of(shown, "results.figure()")
    assert picture["data"]["image/png"].startswith("iVBORw0KGgo")
    frontier = output_of(shown, "results.frontier()")["data"]["text/html"]
    assert "plain-1/80/lerp/0.3" in frontier
    assert output_of(shown, "max_forgetting=1)")["text"].startswith("plain-1/80/lerp/0.3")
    assert "it is the knee" in output_of(shown, "knee=True")["text"]
    assert "lora" in output_of(shown, "groupby")["data"]["text/html"]


def test_the_stored_notebook_is_valid_and_has_no_output_of_somebody_s_machine() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)


def output_of(shown: dict[str, list[Any]], words: str) -> Any:
    """The last output of the cell with these words."""
    return next(outputs[-1] for source, outputs in shown.items() if words in source)
