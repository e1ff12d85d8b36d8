"""A sweep's folder gives back what was put into it, whatever else lies there."""

from dataclasses import replace

import pytest

from rayforget.errors import RecordError, StorageError
from rayforget.frontier.points import PointKey
from rayforget.record.jobs import NotedJobs
from rayforget.record.names import sweep_names, unused_name
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo, space_digest
from rayforget.values.points import Spot
from rayforget.values.records import TestRecord

SPACE = {"name": "tiny", "recipe": {"learning_rate": 1e-4}}


def info(name="tiny-1", created=1.5):
    return SweepInfo(
        name=name, space_name="tiny", created=created, space_digest=space_digest(SPACE), provenance={"seeds": {"a": 1}}
    )


def create(storage, name="tiny-1", created=1.5):
    return Sweep.create(storage, info(name, created), space_text="name: tiny\n", space=SPACE)


def test_a_sweep_is_opened_as_it_was_created(storage):
    create(storage)
    sweep = Sweep.open(storage, "tiny-1")
    assert sweep.info == info()
    assert sweep.space_text() == "name: tiny\n"
    assert sweep.space_json() == b'{"name":"tiny","recipe":{"learning_rate":0.0001}}'
    assert (sweep.records(), sweep.trials(), sweep.tests(), sweep.kept_weights()) == ([], {}, [], {})


def test_a_name_is_taken_once(storage):
    create(storage)
    with pytest.raises(RecordError, match=r"a sweep tiny-1 exists .* --resume tiny-1.* rm tiny-1"):
        create(storage, created=2.0)
    with pytest.raises(RecordError, match="cannot name a sweep"):
        create(storage, name="../tiny")
    with pytest.raises(RecordError, match=r"no sweep other in .*; found: tiny-1"):
        Sweep.open(storage, "other")


@pytest.mark.parametrize("name", ["", "cache", "mlartifacts", "mlflow.db", "x" * 151])
def test_a_name_that_is_empty_too_long_or_used_beside_the_sweeps_is_refused(storage, name):
    with pytest.raises(RecordError, match=r"cannot name a sweep|expected at most 150"):
        create(storage, name=name)
    assert not storage.folders()
    create(storage, name="x" * 150)


def test_foreign_files_in_a_sweep_are_no_part_of_it(storage, make_record, assert_same):
    sweep, record = create(storage), make_record()
    sweep.add(record)
    sweep.note_budget(4)
    for folder in ("budget", "points", "test", "weights", "asked"):
        for name in (".nfs0001", "abc", ".x-000001.json", "²"):
            sweep.store.write(f"{folder}/{name}", b"?")
    assert sweep.budgets() == [4]
    assert_same(sweep.records(), [record])
    assert sweep.trials() == {record.trial: [record.step]}
    assert (sweep.tests(), sweep.kept_weights(), NotedJobs(sweep.store).load()) == ([], {}, {})
    sweep.store.write("points/abc.json", b"?")
    with pytest.raises(RecordError, match=r"abc.json is no name of the record's"):
        sweep.trials()


def test_a_storage_that_refuses_is_no_contradiction(tmp_path, make_record):
    sweep = create(Store.open(tmp_path))
    sweep.store.write("points", b"a file in the way")
    with pytest.raises(StorageError, match="cannot be written"):
        sweep.add(make_record())


def test_sweeps_are_listed_by_name_and_half_made_ones_are_not(storage):
    for name, created in (("c", 1.0), ("a", 3.0), ("b", 2.0)):
        create(storage, name, created)
    storage.write("half/space.yaml", b"")
    storage.write("cache/scores/x.json", b"")
    assert sweep_names(storage) == ["a", "b", "c"]
    assert sweep_names(storage.within("nowhere")) == []


def test_unused_names_count_up(storage):
    first = unused_name(storage, "tiny", 1.7e9)
    assert first.startswith("tiny-2023111")
    create(storage, first)
    second = unused_name(storage, "tiny", 1.7e9)
    assert second == f"{first}-2"
    create(storage, second)
    assert unused_name(storage, "tiny", 1.7e9) == f"{first}-3"


def test_records_come_back_sorted_by_trial_and_step(storage, make_record, assert_same):
    sweep = create(storage)
    records = [make_record(trial=trial, step=step) for trial in ("a", "b-c") for step in (9, 80, 1_000_000)]
    for record in reversed(records):
        sweep.add(record)
        sweep.add(record)
    assert_same(sweep.records(), records)
    assert sweep.trials() == {"a": [9, 80, 1_000_000], "b-c": [9, 80, 1_000_000]}
    assert_same(sweep.record("b-c", 80), records[4])
    assert sweep.has("a", 9)
    assert not sweep.has("a", 10)


def test_of_two_writers_of_a_checkpoint_the_first_wins(storage, make_record, assert_same):
    sweep = create(storage)
    first = make_record(seed=0)
    sweep.add(first)
    sweep.add(replace(first, finished=first.finished + 1, seconds={"train": 2.0}))
    assert_same(sweep.records(), [first])


@pytest.mark.parametrize("other", [{"status": "failed", "points": ()}, {"theta_0_hash": "c" * 32}])
def test_a_checkpoint_that_contradicts_the_recorded_one_is_refused(storage, make_record, assert_same, other):
    sweep = create(storage)
    first = make_record(seed=0)
    sweep.add(first)
    with pytest.raises(RecordError, match=r"0003-l2-000080.json .*other content"):
        sweep.add(replace(first, **other))
    assert_same(sweep.records(), [first])


def test_a_damaged_record_is_named(storage, make_record):
    sweep = create(storage)
    sweep.add(make_record())
    sweep.store.write("points/0003-l2-000080.json", b"{}")
    with pytest.raises(RecordError, match=r"tiny-1/points/0003-l2-000080.json is damaged"):
        sweep.records()


def test_half_written_files_are_not_read_and_are_cleaned(storage, make_record):
    sweep = create(storage)
    sweep.add(make_record(trial="a", step=1))
    sweep.store.write("points/.writing-b-000001.json-00", b"{")
    sweep.store.write("weights/a-000001.safetensors", b"kept")
    sweep.store.write("weights/b-000001.safetensors", b"its record was never written")
    for trial in ("a", "b"):
        sweep.resume_folder(trial).write("state", b"1")
    assert len(sweep.records()) == 1
    sweep.clean(finished={"a"})
    assert sweep.store.files("points").keys() == {"a-000001.json"}
    assert sweep.kept_weights() == {("a", 1): 4}
    assert sweep.store.folders("resume") == ["b"]
    sweep.drop_weights("a", 1)
    sweep.drop_weights("a", 1)
    assert sweep.kept_weights() == {}


def test_the_latest_test_score_of_a_point_counts(storage, make_record, assert_same):
    sweep = create(storage)
    first, second = make_record(seed=1, num_points=3), make_record(seed=2, num_points=2)
    early = TestRecord(
        trial="a", step=1, theta_1_hash="b" * 32, scores={p.spot: p.scores for p in first.points}, finished=2.0
    )
    late = replace(early, scores={p.spot: p.scores for p in second.points}, finished=3.0)
    for record in (late, early, late):
        sweep.add_tests(record)
    assert_same(sweep.tests(), [early, late])
    scores = sweep.test_scores()
    assert scores.keys() == {PointKey("a", 1, alpha) for alpha in (0.0, 0.5, 1.0)}
    assert_same(scores[PointKey("a", 1, 0.5)], early.scores[Spot(0.5)])
    assert_same(scores[PointKey("a", 1, 1.0)], late.scores[Spot(1.0)])


def test_names_are_found_whatever_else_is_damaged(storage):
    create(storage, "b")
    create(storage, "a").store.write("sweep.json", b"{}")
    assert sweep_names(storage) == ["a", "b"]
    with pytest.raises(RecordError, match=r"no sweep c in .*; found: a, b"):
        Sweep.open(storage, "c")


def test_the_digest_knows_content_and_not_order():
    assert space_digest({"a": 1, "b": [2.0, None]}) == space_digest({"b": [2.0, None], "a": 1})
    assert space_digest({"a": 1}) != space_digest({"a": 2})
