"""What was skipped or cut is stated in the report, once, with its number and its names."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from summaries import make_summary
from synthetic_sweep import make_records

from rayforget.report.terminal.tables import frontier_table
from rayforget.report.web.page import write_page
from rayforget.report.words.remarks import broken_remark, data_remarks
from rayforget.values.records import CheckpointRecord, TestRecord


def records_with(val: dict[str, object], train: dict[str, object]) -> list[CheckpointRecord]:
    records, _ = make_records(trials=2, seeds=1, scale=0.05)
    return [replace(record, facts=train if record.recipe else val) for record in records]


def test_nothing_is_remarked_where_nothing_was_left_out() -> None:
    assert data_remarks(records_with({}, {"loss": 0.1, "cut_sequences": 0, "dropped_sequences": 0}), []) == ()


def test_every_split_with_broken_images_is_told_once() -> None:
    records = records_with({"broken": {"photo": ["a", "b"]}}, {"broken": {"photo": ["c"]}})
    tested = TestRecord(
        trial="x", step=1, theta_1_hash="", scores={}, facts={"broken": {"sketch": ["d"]}}, finished=1.0
    )
    assert data_remarks(records, [tested, tested]) == (
        "tasks.photo.val: 2 broken images skipped: a, b",
        "tasks.photo.train: 1 broken image skipped: c",
        "tasks.sketch.test: 1 broken image skipped: d",
    )


@pytest.mark.parametrize(("count", "end"), [(5, "0, 1, 2, 3, 4"), (6, "0, 1, 2, 3, 4, and 1 more")])
def test_of_many_the_first_are_named(count: int, end: str) -> None:
    assert broken_remark("x", [str(i) for i in range(count)]) == f"x: {count} broken images skipped: {end}"


def test_texts_that_were_cut_or_left_out_are_counted() -> None:
    facts: dict[str, object] = {"cut_sequences": 3, "dropped_sequences": 1}
    assert data_remarks(records_with({}, facts), []) == (
        "train: 3 texts were cut to the model's length",
        "train: 1 text was left out as too long",
    )


def test_table_and_page_show_the_remarks(tmp_path: Path) -> None:
    summary = replace(make_summary("theta_0 alone"), remarks=("tasks.photo.val: 1 broken image skipped: <a>",))
    out = StringIO()
    Console(file=out, width=200, color_system=None).print(frontier_table(summary))
    assert "tasks.photo.val: 1 broken image skipped: <a>" in out.getvalue()
    write_page(summary, tmp_path / "page.html")
    assert "<li>tasks.photo.val: 1 broken image skipped: &lt;a&gt;</li>" in (tmp_path / "page.html").read_text()
