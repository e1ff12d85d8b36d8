"""The frontier in the layout of MLflow's tables."""

import json
from collections.abc import Callable

import pytest
from summaries import make_paths_summary, make_summary

from rayforget.frontier.summary import Summary
from rayforget.report.terminal.frontier_table import frontier_as_table


@pytest.mark.parametrize("make", [lambda: make_summary("half tested"), make_paths_summary], ids=["lerp", "paths"])
def test_each_point_of_the_frontier_is_a_row_with_its_scores_and_its_recipe(make: Callable[[], Summary]) -> None:
    summary = make()
    table = json.loads(frontier_as_table(summary))
    assert table.keys() == {"columns", "data"}
    assert len(set(table["columns"])) == len(table["columns"])
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [(row["trial"], row["step"], row["alpha"], row["path"]) for row in rows] == [
        summary.points[i].key for i in summary.frontier
    ]
    for i, row in zip(summary.frontier, rows, strict=True):
        assert (row["val/speciality"], row["val/generality"]) == summary.val[i].pair
        assert row["val/generality_error"] == summary.val[i].generality_error
        tested = summary.test.get(i)
        assert row["test/speciality"] == (tested.speciality if tested else None)
        assert row["method"] == summary.points[i].method
        assert row["learning_rate"] == str(summary.points[i].recipe.get("learning_rate")) or row["trial"] == "theta_0"
    untested = {row["test/speciality"] is None for row in rows}
    assert untested == ({False} if summary.paths else {True, False})
