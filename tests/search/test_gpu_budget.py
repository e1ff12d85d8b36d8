"""GPU hours: beyond the budget no training begins, what has begun ends, the report follows, and a resume counts on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from toy_agenda import METHODS, add_theta_0, resumed, score_tests, started, toy_space, train

from rayforget.commands.larger_budget import with_budget
from rayforget.errors import SpaceError
from rayforget.frontier.cost import slot_seconds
from rayforget.frontier.gather import gather
from rayforget.record.gpu_budget import note_gpu_hours
from rayforget.record.jobs import TrialJob
from rayforget.record.removal import remove_sweep
from rayforget.record.space_of import space_here
from rayforget.record.standing import Standing, standing_of
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report.words.gpu_hours import ended_by_budget, how_far
from rayforget.report.words.numbers import stale_notice
from rayforget.search.agenda import Agenda, NamedJob, Next
from rayforget.space.models import Space
from rayforget.space.parts import Resources

HALF_AN_HOUR = {"train": 1500.0, "evaluate": 240.0, "save": 60.0}
CLOCK = iter(range(1, 10**6))


def space_of(folder: Path, **resources: Any) -> Space:
    methods = {"full": METHODS["full"]}
    return toy_space(
        folder,
        methods=methods,
        search={"trainings": 6, "seed": 0, "startup": 6, "sampler": "random"},
        curve={"coarse": [0, 1]},
        resources={"gpus_per_worker": 1, "workers_per_slot": 2, **resources},
    )


def end(agenda: Agenda, named: NamedJob) -> None:
    """Does a job; each training takes half an hour of two GPUs."""
    add_theta_0(agenda.sweep)
    steps = []
    if isinstance(named.job, TrialJob):
        for record in train(agenda, named.job):
            agenda.sweep.add(replace(record, seconds=HALF_AN_HOUR, finished=float(next(CLOCK))))
            steps.append(record.step)
    else:
        score_tests(agenda, named)
    agenda.done(named.name, steps)


def work(agenda: Agenda) -> list[str]:
    """The names of the jobs that were handed out, one at a time, to the end."""
    done = []
    while isinstance(named := agenda.next(), NamedJob):
        end(agenda, named)
        done.append(named.name)
    assert agenda.next() is Next.FINISHED
    return done


def standing(folder: Path) -> Standing:
    sweep = Sweep.open(Store.open(folder), "s")
    records = sweep.briefs()
    return standing_of(sweep, records, gather(records, resumed(folder).roles))


def go_on(folder: Path, *overrides: str) -> Agenda:
    """As `sweep --resume s --set ...`."""
    sweep = Sweep.open(Store.open(folder), "s")
    space = with_budget(space_here(sweep, str(folder)), overrides)
    note_gpu_hours(sweep, space.resources)
    return resumed(folder)


def test_no_training_begins_beyond_the_budget_and_the_report_follows(tmp_path: Path) -> None:
    agenda = started(space_of(tmp_path, max_gpu_hours=3))
    note_gpu_hours(agenda.sweep, agenda.space.resources)
    done = work(agenda)
    assert [name for name in done if not name.startswith("test")] == ["0000-plain", "0001-full", "0002-full"]
    assert [name for name in done if name.startswith("test")], "the chosen points are scored on test all the same"
    assert agenda.out_of_budget
    assert agenda.finished

    found = standing(tmp_path)
    assert found.gpu_budget is not None
    assert (found.gpu_budget.spent, found.gpu_budget.words) == (3.0, "3 of 3 GPU hours")
    assert (found.finished, found.out_of_budget, found.total) == (True, True, 7)
    assert stale_notice(found) is None


def test_trainings_side_by_side_end_what_they_have_begun(tmp_path: Path) -> None:
    agenda = started(space_of(tmp_path, max_gpu_hours=0.5, slots=3))
    begun = [agenda.next() for _ in range(3)]
    for named in begun:
        assert isinstance(named, NamedJob)
        end(agenda, named)
        if len(agenda.running):
            assert agenda.next() is Next.WAIT
    assert len(agenda.failures()) + agenda.finished_trainings() >= 3
    assert all(name.startswith("test") for name in work(agenda))


def test_a_resumed_sweep_counts_on_and_begins_again_only_with_more_hours(tmp_path: Path) -> None:
    work(started(space_of(tmp_path, max_gpu_hours=3)))
    again = go_on(tmp_path)
    assert again.settle()
    assert work(again) == []

    more = go_on(tmp_path, "resources.max_gpu_hours=5")
    assert not more.settle()
    assert stale_notice(standing(tmp_path)) == (
        "Stale: more trainings were asked for after a first report, 3 of 7 are done; scores on test are the first "
        "report's until the sweep ends."
    )
    assert [name for name in work(more) if not name.startswith("test")] == ["0003-full", "0004-full"]
    assert resumed(tmp_path).space.resources.max_gpu_hours == 5, "a further resume remembers"
    assert remove_sweep(Store.open(tmp_path), "s") == []


def test_without_a_budget_or_with_a_large_one_nothing_changes(tmp_path: Path) -> None:
    without = work(started(space_of(tmp_path / "a")))
    assert work(started(space_of(tmp_path / "b", max_gpu_hours=100))) == without
    assert standing(tmp_path / "b").out_of_budget is False
    assert standing(tmp_path / "a").gpu_budget is None


@pytest.mark.parametrize("value", ["2.9", "nan", "inf", "much"])
def test_only_more_hours_are_taken(tmp_path: Path, value: str) -> None:
    space = space_of(tmp_path, max_gpu_hours=3)
    with pytest.raises(SpaceError, match=f"max_gpu_hours={value} is not more than the sweep's 3"):
        with_budget(space, [f"resources.max_gpu_hours={value}"])
    with pytest.raises(SpaceError, match="has no limit of GPU hours"):
        with_budget(space_of(tmp_path), ["resources.max_gpu_hours=4"])


def test_a_budget_on_cpus_is_refused() -> None:
    with pytest.raises(ValidationError, match="found 2 with gpus_per_worker: 0, which spends no GPU hours"):
        Resources(max_gpu_hours=2)


def test_a_training_counts_its_longest_checkpoint_and_every_scoring(tmp_path: Path) -> None:
    agenda = started(space_of(tmp_path))
    (record,) = train(agenda, agenda.next().job)  # type: ignore[union-attr, arg-type]
    half = replace(record, fraction=0.5, seconds={"train": 10.0, "evaluate": 3.0, "save": 1.0})
    whole = replace(record, step=2, seconds={"train": 25.0, "evaluate": 4.0, "save": 1.0})
    theta_0 = replace(record, trial="theta_0", recipe={}, seconds={"evaluate": 99.0})
    assert slot_seconds([theta_0, half, whole]) == 25 + 3 + 1 + 4 + 1
    assert slot_seconds([]) == 0


def test_what_is_said_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert how_far(10, (2.0, 8.0), 30) == "10 GPU hours are enough: the 30 trainings take about 2 to 8"
    assert how_far(10, (20.0, 40.0), 30) == (
        "10 GPU hours carry about 7 to 15 trainings, and then the sweep ends: the 30 trainings take about 20 to 40"
    )
    assert how_far(10, None, 30).startswith("10 GPU hours; how far they carry is unknown")
    monkeypatch.delenv("UV_RUN_RECURSION_DEPTH", raising=False)
    agenda = started(space_of(tmp_path, max_gpu_hours=3))
    work(agenda)
    assert agenda.gpu_budget is not None
    said = ended_by_budget(agenda.gpu_budget, ended=3, total=7, name="s", storage="s3://b/runs", address=None)
    assert said == (
        "ended by its budget: 3 of 3 GPU hours are spent (resources.max_gpu_hours), 3 of 7 trainings ended; with more "
        "hours it goes on: rayforget sweep --resume s --set resources.max_gpu_hours=6 --storage s3://b/runs"
    )
