"""What was skipped or cut is stated in the report, once, with its number and its names."""

from dataclasses import replace

import golden_text
from synthetic_sweep import make_records

from rayforget.report.words.remarks import data_remarks
from rayforget.values.records import CheckpointRecord, TestRecord


def records_with(val: dict[str, object], train: dict[str, object]) -> list[CheckpointRecord]:
    records, _ = make_records(trials=2, seeds=1, scale=0.05)
    return [replace(record, facts=train if record.recipe else val) for record in records]


def test_nothing_is_remarked_where_nothing_was_left_out() -> None:
    assert data_remarks(records_with({}, {"loss": 0.1, "cut_sequences": 0, "dropped_sequences": 0}), []) == ()


def test_what_was_left_out_is_told_once_for_each_split_and_of_many_the_first_are_named() -> None:
    val = {"broken": {"photo": ["a", "b"], "five": list("abcde"), "six": list("abcdef")}}
    train = {
        "broken": {"photo": ["c"]},
        "broken_rows": {
            "arc": ["a.jsonl:3"],  # as versions wrote it that did not say why
            "cards": {"with an empty choice": ["b.csv:9"], "without `answer`": ["b.csv:7", "b.csv:8"]},
        },
        "cut_sequences": 3,
        "dropped_sequences": 1,
    }
    tested = TestRecord(
        trial="x", step=1, theta_1_hash="", scores={}, facts={"broken": {"sketch": ["d"]}}, finished=1.0
    )
    remarks = data_remarks(records_with({**val}, train), [tested, tested])
    golden_text.check("reports", "remarks on the data", "\n".join(remarks))


def test_given_models_whose_statistics_are_interpolated_too_are_named() -> None:
    (remark,) = data_remarks(records_with({}, {"lerped_statistics": 4}), [])
    assert remark.startswith("plain-0, t0000")
    assert remark.endswith("BatchNorm's statistics were tuned too, and are interpolated like weights")


def test_a_training_that_failed_after_a_checkpoint_is_named_and_one_that_failed_before_any_is_not() -> None:
    records = records_with({}, {})
    assert [record.trial for record in records if record.status == "failed"] == ["t0001"]
    assert data_remarks(records, []) == ()
    half = replace(records[-1], trial="t0000", step=9_000)
    (remark,) = data_remarks([*records, half], [])
    assert remark.startswith("t0000 failed after a checkpoint that was scored")
