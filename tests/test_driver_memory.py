"""What a driver reads and holds: each file of the record once, no item that nobody asks for, no training twice."""

import gc
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from rich.console import Console
from synthetic_sweep import ROLES, make_records
from toy_agenda import METHODS, add_theta_0, resumed, started, toy_space, train, work_off

from rayforget.commands.sweep import _drive, progress_of
from rayforget.frontier.baseline_errors import BaselineErrors
from rayforget.frontier.each_training import points_to_compare
from rayforget.frontier.gather import gather
from rayforget.frontier.on_demand import ScoresOnDemand, items_of, with_items
from rayforget.frontier.points import THETA_0
from rayforget.record.housekeeping import tidy_weights
from rayforget.record.jobs import TrialJob
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report.present import mirror_sweep, present
from rayforget.search.agenda import Agenda, NamedJob
from rayforget.values.brief import brief_of

ALPHAS = [round(number / 14, 4) for number in range(15)]


def begin(folder: Path, trainings: int) -> Agenda:
    search = {"trainings": trainings, "seed": 0, "sampler": "random"}
    return started(toy_space(folder, methods=METHODS, search=search, curve={"coarse": ALPHAS}, resources={}))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file of a store was read."""
    counts: Counter[str] = Counter()
    read = Store.read

    def counted(store: Store, name: str) -> bytes:
        counts[name] += 1
        return read(store, name)

    monkeypatch.setattr(Store, "read", counted)
    return counts


def of(reads: Counter[str], folder: str) -> dict[str, int]:
    return {name: count for name, count in reads.items() if name.startswith(f"{folder}/")}


def test_a_resumed_driver_reads_each_file_once_and_the_chosen_ones_again(
    tmp_path: Path, reads: Counter[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the start to the report, however few points' items are in memory at once."""
    monkeypatch.setattr("rayforget.frontier.measured._TOGETHER", 20)
    work_off(begin(tmp_path, 20))
    work = resumed(tmp_path)
    reads.clear()
    sweep = Sweep.open(Store.open(tmp_path), "s")
    assert _drive(work.space, sweep, address=None, verbose=False) == 0
    assert "frontier.html" in capsys.readouterr().out
    points = gather(sweep.briefs(), work.roles).points
    chosen = {points[i].key[:2] for i in points_to_compare(points)}
    for trial, step in {(point.trial, point.step) for point in points}:
        # The baselines' come first, since all others are compared with them, and once more in their turn.
        baseline = trial.endswith((THETA_0, "plain"))
        assert reads[f"points/{trial}-{step:06d}.json"] <= 1 + ((trial, step) in chosen) + baseline
    for folder in ("test", "asked"):
        assert set(of(reads, folder).values()) == {1}
    assert (reads["sweep.json"], reads["space.json"]) == (1, 1)


def test_a_driver_at_work_reads_of_each_training_what_is_new(tmp_path: Path, reads: Counter[str]) -> None:
    work = begin(tmp_path, 12)
    errors = BaselineErrors(work.roles)
    for done in range(1, 12):
        (named,) = work_off(work, at_most=1)
        tidy_weights(work.sweep, work.leading, work.roles, work.space.storage.keep)
        progress_of(work, named, errors)
        assert sum(of(reads, "points").values()) <= done + 3  # theta_0, and the baselines' items for their errors


@pytest.mark.slow
def test_report_and_mirror_share_one_reading_and_one_bootstrap(tmp_path: Path, reads: Counter[str]) -> None:
    work_off(begin(tmp_path, 6))
    work = resumed(tmp_path)
    report = present(work.sweep, work.space, Console(file=StringIO()))
    reads.clear()
    with counting() as calls:
        mirror_sweep(work.sweep, work.space, running=False, report=report)
    assert calls["present._draw"] == 0
    assert calls["compare.summarise"] == 0
    assert set(of(reads, "test").values()) <= {1}


@contextmanager
def counting() -> Iterator[Counter[str]]:
    """Calls of Python functions in this thread, as `file.function`."""
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call":
            calls[f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}"] += 1

    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def test_an_answer_and_the_next_ask_look_at_no_earlier_training(tmp_path: Path) -> None:
    """Points are only assembled for the training that ended, and no recipe's key is computed twice."""
    found = []
    work = begin(tmp_path, 40)
    errors = BaselineErrors(work.roles)
    for done in (8, 20):
        progress_of(work, work_off(work, at_most=done)[-1], errors)  # the baselines' errors are known from here on
        named = work.next()
        assert isinstance(named, NamedJob)
        assert isinstance(named.job, TrialJob)
        records = train(work, named.job)
        for record in records:
            work.sweep.add(record)
        with counting() as calls:
            work.done(named.name, [record.step for record in records])
            tidy_weights(work.sweep, work.leading, work.roles, work.space.storage.keep)
            progress_of(work, named, errors)
            after = work.next()
        assert isinstance(after, NamedJob)
        work.running.pop(after.name)
        assert calls["gather._point"] <= len(ALPHAS) + 1  # and the asked alpha
        found.append(calls["main.model_dump"])
    assert found[0] == found[1]


def held_by(make: Callable[[], object]) -> int:
    """Bytes held by the result of `make`."""
    gc.collect()
    tracemalloc.start()
    kept = make()
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()  # the peak is the store's buffers
    tracemalloc.stop()
    del kept
    return held


@pytest.mark.slow
def test_a_driver_holds_tens_of_kilobytes_of_a_training_however_many_items_it_was_scored_on(tmp_path: Path) -> None:
    """15 points of 10,000 items of two tasks have 300 kB; 10,000 trainings at 45 kB are 0.45 GB."""
    trainings, num_items = 40, 10_000
    work_off(begin(tmp_path, trainings), num_items)
    resumed(tmp_path)  # imports and compiled code do not count
    held = held_by(lambda: resumed(tmp_path))
    assert held < 45_000 * trainings


def test_a_brief_says_of_its_record_all_but_the_items(tmp_path: Path) -> None:
    records, _ = make_records(trials=4, seeds=1, scale=0.1)
    briefs = [brief_of(record) for record in records]
    whole, short = gather(records, ROLES), gather(briefs, ROLES)
    assert (short.points, short.failed, short.val) == (whole.points, whole.failed, {})
    for record, brief in zip(records, briefs, strict=True):
        assert (brief.key, brief.status, brief.reason, brief.recipe) == (
            record.key, record.status, record.reason, record.recipe,
        )  # fmt: skip
        for point, kept in zip(record.points, brief.points, strict=True):
            for task, score in point.scores.items():
                assert (kept.scores[task].rule, kept.scores[task].value) == (score.rule, score.value)
                assert kept.scores[task].readings == score.readings


def test_items_are_read_when_they_are_asked_for_and_the_last_few_are_remembered(
    tmp_path: Path, reads: Counter[str]
) -> None:
    work = begin(tmp_path, 12)
    work_off(work)
    gathered = gather(work.briefs(), work.roles)
    reads.clear()
    val = with_items(gathered, items_of(work.sweep.record)).val
    assert isinstance(val, ScoresOnDemand)
    assert set(val) == {point.key for point in gathered.points}
    assert len(val) == len(gathered.points)
    assert ("nobody", 1, 0.5) not in val
    with pytest.raises(KeyError):
        val["nobody", 1, 0.5]
    assert not reads
    expected = gather(work.sweep.records(), work.roles).val
    reads.clear()
    for key in sorted(val):
        for task, score in val[key].items():
            assert score.value == expected[key][task].value
            assert (score.items == expected[key][task].items).all()
    assert set(reads.values()) == {1}


def test_a_file_that_is_deleted_is_forgotten_and_one_that_is_made_again_is_read(tmp_path: Path) -> None:
    work = begin(tmp_path, 1)
    add_theta_0(work.sweep)
    (first, *_) = work.sweep.briefs()
    assert work.sweep.briefs() == [first]
    record = work.sweep.record("theta_0", 0)
    work.sweep.store.delete("points/theta_0-000000.json")
    assert work.sweep.briefs() == []
    work.sweep.add(replace(record, finished=7.0))
    assert [brief.finished for brief in work.sweep.briefs()] == [7.0]
