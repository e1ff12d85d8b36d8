"""A sweep is mirrored while it runs, now and then, by one thread that neither stops nor fails it."""

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from toy_agenda import do_job, toy_agenda

from rayforget.frontier.baseline_errors import BaselineErrors
from rayforget.frontier.gather import gather
from rayforget.frontier.on_demand import items_of, with_items
from rayforget.report.mlflow.mirror_plan import plan_runs
from rayforget.report.mlflow.mirror_thread import SETTLED_S, MirrorThread, running_view
from rayforget.report.mlflow.tracking import MirrorError
from rayforget.search.agenda import NamedJob
from rayforget.values.brief import AnyCheckpoint


def wait_for(what: Any) -> None:
    ends = time.monotonic() + 20
    while not what():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_the_newest_state_is_mirrored_once_and_nothing_is_without_news() -> None:
    seen: list[Sequence[AnyCheckpoint]] = []
    first, second = object(), object()
    with MirrorThread(seen.append, say=pytest.fail, first_after_s=0.2, pause_s=0.01) as m:
        m.tell([first])  # type: ignore[list-item]
        m.tell([second])  # type: ignore[list-item]
        wait_for(lambda: seen)
        time.sleep(0.1)
        assert seen == [[second]]
        m.tell([])
        wait_for(lambda: len(seen) == 2)


def test_a_short_sweep_is_not_mirrored_before_its_end_and_not_kept_waiting() -> None:
    started = time.monotonic()
    with MirrorThread(lambda *_: pytest.fail("too early"), say=pytest.fail) as mirror:
        mirror.tell([])
    assert time.monotonic() - started < 5


def test_errors_are_one_line_and_the_next_mirroring_comes() -> None:
    said: list[str] = []
    tries: list[int] = []

    def fail(records: Sequence[AnyCheckpoint]) -> None:
        tries.append(1)
        raise MirrorError("no server")

    with MirrorThread(fail, say=said.append, first_after_s=0, pause_s=0.01) as mirror:
        for number in (1, 2, 3):
            mirror.tell([])
            wait_for(lambda number=number: len(tries) >= number)
    assert said == ["MLflow: no server; the sweep goes on, and is mirrored when it ends"]


def test_the_end_waits_for_a_mirroring_under_way_and_telling_does_not() -> None:
    begun, release, done = threading.Event(), threading.Event(), threading.Event()

    def slow(records: Sequence[AnyCheckpoint]) -> None:
        begun.set()
        release.wait(20)
        done.set()

    with MirrorThread(slow, say=pytest.fail, first_after_s=0.05, pause_s=0.01) as mirror:
        mirror.tell([])
        assert begun.wait(20)
        mirror.tell([])  # returns while a mirroring is under way
        assert not done.is_set()
        threading.Timer(0.2, release.set).start()
    assert done.is_set()


def test_a_running_sweep_is_shown_with_its_ended_trials_and_without_points_of_its_frontier(tmp_path: Path) -> None:
    agenda = toy_agenda(tmp_path)
    for _ in range(2):
        named = agenda.next()
        assert isinstance(named, NamedJob)
        do_job(agenda, named)
    records = agenda.briefs()
    gathered = with_items(gather(records, agenda.roles), items_of(agenda.sweep.record))
    given = (agenda.sweep, agenda.space, records, gathered, BaselineErrors(agenda.roles))
    runs = plan_runs(running_view(*given, now=SETTLED_S + 1))
    assert [(run.kind, run.status) for run in runs] == [("sweep", "RUNNING"), *[("trial", "FINISHED")] * 3]
    assert {metric.step for metric in runs[0].metrics} == {1, 2}
    assert plan_runs(running_view(*given, now=0.0))[0].metrics == ()  # the order of recent ends is not certain yet
