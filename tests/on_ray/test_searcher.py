"""What Tune is told: jobs for free slots, a waiting job for a slot that would go cold otherwise, and whole errors."""

from pathlib import Path
from typing import Any

import pytest
from ray.tune.search import ConcurrencyLimiter, Searcher
from toy_agenda import do_job, toy_agenda

from rayforget.on_ray.searcher import AgendaSearcher, EndOfWait, SharedSearch
from rayforget.on_ray.trainable import IDLE
from rayforget.search.agenda import NamedJob


def test_a_slot_that_finds_nothing_to_do_waits_in_a_trial_until_the_tests_are_shared_out(tmp_path: Path) -> None:
    plan = toy_agenda(tmp_path, slots=2)
    shared = SharedSearch(agenda=plan, done=lambda named, result: do_job(plan, named))
    searcher = ConcurrencyLimiter(AgendaSearcher(shared), max_concurrent=2)

    def suggest(trial: str) -> Any:
        suggested = searcher.suggest(trial)
        named = shared.jobs.get(trial)
        return suggested if named is None else named.name

    assert (suggest("a"), suggest("b"), suggest("c")) == ("0000-plain", "0001-full", None)
    searcher.on_trial_complete("a", {})
    assert suggest("c") == "0002-full"
    searcher.on_trial_complete("b", {})
    assert searcher.suggest("d") == {"job": IDLE}
    searcher.on_trial_complete("d", {})
    assert searcher.suggest("e") == {"job": IDLE}  # the other training is still under way
    searcher.on_trial_complete("c", {})
    assert suggest("f") == "test-0"
    searcher.on_trial_complete("e", {})
    assert suggest("g") == "test-1"
    searcher.on_trial_complete("f", {})
    searcher.on_trial_complete("g", {})
    assert suggest("h") == Searcher.FINISHED
    assert plan.finished


def test_a_wait_is_one_trial_however_long_it_is_and_ends_with_the_job_that_may_make_work(tmp_path: Path) -> None:
    plan = toy_agenda(tmp_path, slots=2)
    shared = SharedSearch(agenda=plan, done=lambda named, result: do_job(plan, named))
    searcher, ends = AgendaSearcher(shared), EndOfWait(shared)
    for trial in "ab":
        searcher.suggest(trial)
    searcher.on_trial_complete("a", {})
    searcher.suggest("c")
    assert not ends("c", {})  # a job is not a wait, whatever ended meanwhile
    searcher.on_trial_complete("b", {})
    assert not ends("c", {})
    assert searcher.suggest("d") == {"job": IDLE}
    a_week_of_naps = 7 * 24 * 3600 * 2
    assert not any(ends("d", {}) for _ in range(a_week_of_naps))
    searcher.on_trial_complete("c", {})
    assert ends("d", {})
    assert not ends.stop_all()
    searcher.on_trial_complete("d", {})
    assert isinstance(searcher.suggest("e"), dict)
    searcher.on_trial_complete("c", {})  # once more, as Tune may
    assert plan.finished_trainings() == 3


def test_a_wait_ends_with_a_job_whose_result_the_driver_cannot_take(tmp_path: Path) -> None:
    def full(named: NamedJob, result: Any) -> None:
        raise OSError(28, "No space left on device")

    shared = SharedSearch(agenda=toy_agenda(tmp_path, slots=2), done=full, warm=9)
    searcher, ends = AgendaSearcher(shared), EndOfWait(shared)
    trials = "abcd"
    suggested = [searcher.suggest(trial) for trial in trials]
    assert suggested[3] == {"job": IDLE}
    assert not ends("d", {})
    with pytest.raises(OSError, match="No space"):
        searcher.on_trial_complete("a", {})
    assert ends("d", {})


def test_no_slot_is_started_to_wait(tmp_path: Path) -> None:
    plan = toy_agenda(tmp_path, slots=3)
    searcher = AgendaSearcher(SharedSearch(agenda=plan, done=lambda named, result: None))
    for trial in "abc":
        assert isinstance(searcher.suggest(trial), dict)
    assert searcher.suggest("d") is None


def test_a_halted_sweep_has_no_slot_wait(tmp_path: Path) -> None:
    plan = toy_agenda(tmp_path, slots=2)
    searcher = AgendaSearcher(SharedSearch(agenda=plan, done=lambda named, result: plan.halt(named.name, "no workers")))
    assert all(isinstance(searcher.suggest(trial), dict) for trial in "ab")
    searcher.on_trial_complete("a", None, error=True)
    assert searcher.suggest("c") is None
    searcher.on_trial_complete("b", {})
    assert searcher.suggest("d") == Searcher.FINISHED


def test_what_the_driver_raises_is_kept_as_it_is(tmp_path: Path) -> None:
    def full(named: NamedJob, result: Any) -> None:
        raise OSError(28, "No space left on device")

    shared = SharedSearch(agenda=toy_agenda(tmp_path, slots=1), done=full)
    searcher = AgendaSearcher(shared)
    searcher.suggest("a")
    with pytest.raises(OSError, match="No space"):
        searcher.on_trial_complete("a", {})
    (error,) = shared.errors
    assert isinstance(error, OSError)
