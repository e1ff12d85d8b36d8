"""Failed trainings, by what failed them."""

from rayforget.frontier.failures import failures_of
from rayforget.values.records import CheckpointRecord


def failed(trial: str, reason: str | None, method: str = "l2") -> CheckpointRecord:
    return CheckpointRecord(
        trial=trial, step=0, fraction=0.0, status="failed", reason=reason, recipe={"method": method}, theta_0_hash="0",
    )  # fmt: skip


def test_trainings_with_the_same_first_line_are_one_failure_and_the_most_frequent_comes_first() -> None:
    found = failures_of(
        [
            failed("b", "loss is nan at step 3\nTraceback b", "kd"),
            failed("d", "out of memory\nTraceback d"),
            failed("a", "loss is nan at step 3\nTraceback a"),
            failed("c", None),
        ]
    )
    assert [(each.reason, each.trials) for each in found] == [
        ("loss is nan at step 3", ("a", "b")),
        ("no reason recorded", ("c",)),
        ("out of memory", ("d",)),
    ]
    assert found[0].whole == "loss is nan at step 3\nTraceback a"
    assert found[0].methods == ("kd", "l2")


def test_what_ended_well_is_no_failure() -> None:
    well = CheckpointRecord(trial="a", step=3, fraction=1.0, status="ok", recipe={"method": "l2"}, theta_0_hash="0")
    assert failures_of([well]) == ()
