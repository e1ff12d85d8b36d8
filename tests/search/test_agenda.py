"""The agenda: baselines first, tests last, nothing twice, and a new driver continues where the old one stopped."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rayforget.frontier.gather import gather
from rayforget.frontier.points import PointKey
from rayforget.record.jobs import TrialJob
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.search.agenda import Agenda, NamedJob, Next
from rayforget.search.study import CurveStudy
from rayforget.space.methods import methods_of
from rayforget.space.models import Space
from rayforget.values.points import Point
from rayforget.values.records import CheckpointRecord, TestRecord
from rayforget.values.scores import Score

TREE: dict[str, Any] = {
    "name": "toy",
    "foundation": {"kind": "clip", "model": "builtin"},
    "tasks": {
        "s": {
            "kind": "zero_shot",
            "role": "speciality",
            "templates": ["a {}"],
            **{split: {"kind": "folder", "path": f"/data/{split}"} for split in ("train", "val", "test")},
        },
        "g": {
            "kind": "zero_shot",
            "role": "generality",
            "group": "d",
            **{split: {"kind": "folder", "path": f"/data/g/{split}"} for split in ("val", "test")},
        },
    },
    "recipe": {"learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}, "epochs": 1, "batch_size": 8},
    "methods": {"full": {}, "l2": {"penalties": [{"kind": "l2", "strength": {"low": 1, "high": 10}}]}},
    "plain": {"set": {"learning_rate": 1e-4}, "seeds": 2},
    "search": {"trainings": 4, "seed": 0, "startup": 2},
    "curve": {"coarse": [0, 0.5, 1], "refine": 0},
}


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    info = SweepInfo(name="s", space_name="toy", created=0.0, space_digest="")
    return Sweep.create(Store.open(tmp_path), info, space_text="", space={})


def agenda(sweep: Sweep, **search: Any) -> Agenda:
    space = Space.model_validate({**TREE, "search": {**TREE["search"], **search}})
    study = CurveStudy(methods_of(space), search=space.search, curve=space.curve, name="s")
    return Agenda(space, sweep, study)


def score(value: float) -> Score:
    return Score(rule="accuracy", items=np.arange(100) < 100 * value, items_hash="h")


def record_of(job: TrialJob, status: str = "ok") -> CheckpointRecord:
    strength = float(np.log10(job.recipe.learning_rate) + 5) / 2
    alphas = sorted({0.0, 0.5, 1.0, job.alpha})
    points = tuple(
        Point(
            alpha=alpha,
            coarse=alpha in (0, 0.5, 1),
            scores={"s": score(0.4 + 0.3 * alpha * strength), "g": score(0.6 - 0.2 * alpha**2 * strength)},
        )
        for alpha in alphas
    )
    ok = status == "ok"
    return CheckpointRecord(
        trial=job.name,
        step=5 if ok else 0,
        fraction=1.0 if ok else 0.0,
        status="ok" if ok else "failed",
        reason=None if ok else "the loss is not finite\n\ntraceback",
        recipe=job.recipe.model_dump(mode="json"),
        asked=dict(job.asked),
        points=points if ok else (),
        theta_0_hash="0",
        theta_1_hash="1" if ok else None,
        finished=time.time(),
    )


def do(work: Agenda, named: NamedJob, status: str = "ok") -> None:
    """Does what a worker does: writes the record, then reports."""
    if isinstance(named.job, TrialJob):
        record = record_of(named.job, status)
        work.sweep.add(record)
        if not work.sweep.has("theta_0", 0):
            point = Point(alpha=0.0, coarse=True, scores={"s": score(0.4), "g": score(0.6)})
            first = CheckpointRecord(
                trial="theta_0", step=0, fraction=0.0, status="ok", recipe={}, points=(point,), theta_0_hash="0"
            )
            work.sweep.add(first)
        work.done(named.name, [record.step])
    else:
        for part in named.job:
            scores = {spot: {"s": score(0.5), "g": score(0.5)} for spot in part.spots}
            work.sweep.add_tests(
                TestRecord(trial=part.trial, step=part.step, theta_1_hash="1", scores=scores, finished=time.time())
            )
        work.done(named.name, [])


def take(work: Agenda) -> NamedJob:
    named = work.next()
    assert isinstance(named, NamedJob), named
    return named


def test_baselines_then_trainings_then_tests_then_nothing(sweep: Sweep) -> None:
    work = agenda(sweep)
    names = []
    while not work.finished:
        named = take(work)
        names.append(named.name)
        do(work, named)
    assert names == ["0000-plain", "0001-plain", "0002-full", "0003-l2", "0004-full", "0005-l2", "test-0"]
    assert work.next() is Next.FINISHED
    tested = sweep.test_scores()
    assert PointKey("theta_0", 0, 0.0) in tested
    assert {PointKey("0000-plain", 5, 1.0), PointKey("0001-plain", 5, 1.0)} <= tested.keys()


def test_tests_wait_for_the_last_training(sweep: Sweep) -> None:
    work = agenda(sweep)
    running = [take(work) for _ in range(6)]
    assert work.next() is Next.WAIT
    for named in running:
        assert work.next() is Next.WAIT
        do(work, named)
    assert take(work).name == "test-0"


def test_a_new_driver_repeats_nothing_that_is_finished_and_takes_up_what_is_not(sweep: Sweep) -> None:
    first = agenda(sweep)
    for _ in range(3):
        do(first, take(first))
    lost = take(first)
    second = agenda(sweep)
    assert second.finished_trainings() == 3
    again = take(second)
    assert again.job == lost.job
    do(second, again)
    rest = []
    while not second.finished:
        rest.append(take(second))
        do(second, rest[-1])
    assert [named.name for named in rest] == ["0004-full", "0005-l2", "test-0"]
    assert agenda(sweep).next() is Next.FINISHED


def test_a_larger_budget_goes_on_with_the_count(sweep: Sweep) -> None:
    first = agenda(sweep)
    while not first.finished:
        do(first, take(first))
    second = agenda(sweep, trainings=6)
    assert [take(second).name for _ in range(2)] == ["0006-full", "0007-l2"]


def test_a_failure_costs_one_training_and_is_not_tried_again(sweep: Sweep) -> None:
    work = agenda(sweep)
    for status in ("ok", "ok", "failed"):
        do(work, take(work), status)
    assert work.failures() == {"0002-full": "the loss is not finite"}
    assert take(work).name == "0003-l2"
    assert take(agenda(sweep)).name == "0003-l2"


def test_when_everything_fails_it_gives_up(sweep: Sweep) -> None:
    work = agenda(sweep)
    for _ in range(3):
        do(work, take(work), "failed")
    assert work.next() is Next.FINISHED
    assert work.finished


def test_what_failed_before_a_resume_does_not_end_the_next_driver(sweep: Sweep) -> None:
    work = agenda(sweep)
    for _ in range(3):
        do(work, take(work), "failed")
    resumed = agenda(sweep)
    assert len(resumed.failures()) == 3
    for _ in range(2):
        do(resumed, take(resumed), "failed")
        assert not resumed.finished
    do(resumed, take(resumed), "failed")
    assert resumed.next() is Next.FINISHED
    assert agenda(sweep, trainings=5).next() is not Next.FINISHED


def test_a_halted_sweep_hands_out_nothing_and_loses_nothing(sweep: Sweep) -> None:
    work = agenda(sweep)
    do(work, take(work))
    lost = take(work)
    work.halt(lost.name, "no GPU")
    assert work.next() is Next.FINISHED
    assert not work.finished
    assert take(agenda(sweep)).job == lost.job


def test_what_lost_its_slot_is_the_next_job_three_times(sweep: Sweep) -> None:
    work = agenda(sweep, trainings=1)
    first, second = take(work), take(work)
    for _ in range(3):
        assert work.hand_out_again(second.name)
        assert take(work) == second
    assert not work.hand_out_again(second.name)
    assert list(work.running) == [first.name, second.name]
    do(work, first)
    do(work, second)
    while isinstance(named := work.next(), NamedJob):
        if not isinstance(named.job, TrialJob) and work.hand_out_again(named.name):
            assert take(work) == named
        do(work, named)
    assert named is Next.FINISHED
    assert work.finished


def test_a_partial_checkpoint_of_a_failed_training_stays_known(sweep: Sweep) -> None:
    work = agenda(sweep)
    do(work, take(work))
    named = take(work)
    assert isinstance(named.job, TrialJob)
    half = replace(record_of(named.job), fraction=0.5, step=3)
    for record in (half, record_of(named.job, "failed")):
        sweep.add(record)
    work.done(named.name, sweep.trials()[named.name])
    assert ("0001-plain", 3) in {(point.trial, point.step) for point in gather(work.briefs(), work.roles).points}
    assert work.failures() == {"0001-plain": "the loss is not finite"}


def test_equal_recipes_are_trained_under_other_seeds(sweep: Sweep) -> None:
    space = Space.model_validate({**TREE, "methods": {"full": {"learning_rate": 1e-4}}})
    study = CurveStudy(methods_of(space), search=space.search, curve=space.curve, name="s")
    work = Agenda(space, sweep, study)
    jobs = [take(work).job for _ in range(6)][2:]
    assert [job.recipe.seed for job in jobs if isinstance(job, TrialJob)] == [0, 1, 2, 3]
