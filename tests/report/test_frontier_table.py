"""The frontier in the layout of MLflow's tables."""

import json

from summaries import make_summary

from rayforget.report.terminal.frontier_table import frontier_as_table


def test_each_point_of_the_frontier_is_a_row_with_its_scores_and_its_recipe() -> None:
    summary = make_summary("half tested")
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
    assert {row["test/speciality"] is None for row in rows} == {True, False}
