"""`--resume` asks for the same as the undisturbed sweep, wherever its driver died."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from toy_agenda import METHODS, add_theta_0, resumed, score_tests, started, toy_space, train, work_off

from rayforget.record.envelope import open_sealed, seal
from rayforget.record.jobs import NotedJobs, TrialJob
from rayforget.record.space_of import with_trainings
from rayforget.record.storage.store import Store
from rayforget.search.agenda import Agenda, NamedJob, Next

Jobs = dict[str, TrialJob]


def begin(folder: Path, *, slots: int = 1, **search: Any) -> Agenda:
    return started(
        toy_space(
            folder,
            methods=METHODS,
            search={"trainings": 12, "seed": 0, "startup": 4, **search},
            curve={"coarse": [0, 0.5, 1], "fractions": [0.5, 1]},
            resources={"slots": slots},
        )
    )


def asked(folder: Path) -> Jobs:
    return NotedJobs(Store.open(folder / "s")).load()


def undisturbed(work: Agenda) -> Jobs:
    """Every training that a sweep with one slot asks for."""
    work_off(work)
    assert work.next() is Next.FINISHED
    return asked(Path(work.space.storage.path))


def killed_everywhere(folder: Path) -> Jobs:
    """The same for a sweep whose driver dies at every step: asked, under way, half trained, recorded, told."""
    while isinstance(named := resumed(folder).next(), NamedJob):
        work = resumed(folder)
        add_theta_0(work.sweep)
        again = work.next()
        assert isinstance(again, NamedJob)
        assert again == named  # it was noted
        if not isinstance(again.job, TrialJob):
            score_tests(work, again)
            continue
        for record in train(work, again.job):
            assert resumed(folder).next() == again
            work.sweep.add(record)
    return asked(folder)


def killed_before_each_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """The same if the driver dies between Optuna's answer and the note of it, and goes on after the next."""
    write_once = Store.write_once

    def die(store: Store, name: str, data: bytes) -> None:
        if name.startswith("asked/"):
            raise KeyboardInterrupt
        write_once(store, name, data)

    while True:
        with monkeypatch.context() as patched:
            patched.setattr(Store, "write_once", die)
            try:
                named = resumed(folder).next()
            except KeyboardInterrupt:
                pass
            else:
                if named is Next.FINISHED:
                    return asked(folder)
        assert work_off(resumed(folder), at_most=1)


SEARCHES = [
    {"sampler": "tpe", "balance": "method", "seeds": 1, "seed": 0},
    {"sampler": "tpe", "balance": "none", "seeds": 3, "seed": 1},
    {"sampler": "random", "balance": "method", "seeds": 3, "seed": 2},
    {"sampler": "random", "balance": "none", "seeds": 1, "seed": 3},
]
"""Covers every pair of settings."""


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: "-".join(map(str, search.values())))
def test_a_driver_that_dies_at_every_step_asks_what_a_living_one_asks(search: dict[str, Any], tmp_path: Path) -> None:
    expected = undisturbed(begin(tmp_path / "living", **search))
    begin(tmp_path / "dying", **search)
    found = killed_everywhere(tmp_path / "dying")
    assert found == expected  # recipes, asked parameters, alphas and the frontier of the moment, to the value


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_an_ask_that_was_never_written_down_is_asked_again(
    sampler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = undisturbed(begin(tmp_path / "living", sampler=sampler))
    begin(tmp_path / "dying", sampler=sampler)
    assert killed_before_each_is_written(tmp_path / "dying", monkeypatch) == expected


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_larger_budget_asks_what_it_would_have_asked_from_the_start(sampler: str, tmp_path: Path) -> None:
    expected = undisturbed(begin(tmp_path / "large", sampler=sampler, trainings=14))
    undisturbed(begin(tmp_path / "grown", sampler=sampler, trainings=8))
    work = resumed(tmp_path / "grown")
    work.sweep.note_budget(14)
    assert undisturbed(resumed(tmp_path / "grown")) == expected
    assert resumed(tmp_path / "grown").space == with_trainings(work.space, 14)


def in_slots(folder: Path, slots: int, lives: int) -> Jobs:
    """Parallel trainings that end in another order than they began, with a driver that dies with all of them."""
    while True:
        work = resumed(folder)
        for _ in range(lives):
            running = [named for _ in range(slots) if isinstance(named := work.next(), NamedJob)]
            if not running:
                return asked(folder)
            for named in reversed(running):
                add_theta_0(work.sweep)
                if not isinstance(named.job, TrialJob):
                    score_tests(work, named)
                    work.done(named.name, [])
                    continue
                records = train(work, named.job)
                for record in records:
                    work.sweep.add(record)
                work.done(named.name, [record.step for record in records])
        for _ in range(slots - 1):
            work.next()  # under way when the driver dies


@pytest.mark.parametrize(("slots", "lives"), [(2, 1), (3, 2)])
@pytest.mark.parametrize("balance", ["method", "none"])
def test_with_the_random_sampler_the_number_of_slots_changes_no_recipe(
    balance: str, slots: int, lives: int, tmp_path: Path
) -> None:
    search = {"sampler": "random", "balance": balance, "seeds": 2}
    expected = undisturbed(begin(tmp_path / "one", **search))
    begin(tmp_path / "many", slots=slots, **search)
    found = in_slots(tmp_path / "many", slots, lives)
    assert {name: job.recipe for name, job in found.items()} == {name: job.recipe for name, job in expected.items()}
    assert [job.asked for job in found.values()] == [job.asked for job in expected.values()]


@pytest.mark.parametrize(("slots", "lives"), [(2, 1), (3, 1), (5, 2)])
def test_with_any_number_of_slots_every_method_gets_its_share(slots: int, lives: int, tmp_path: Path) -> None:
    begin(tmp_path, slots=slots)
    found = in_slots(tmp_path, slots, lives)
    assert Counter(job.recipe.method for job in found.values()) == {"plain": 1, "l2": 4, "full": 4, "kd": 4}


YAML = """
tasks: {s: {}, g: {}}
methods:
  l2: {penalties: []}
  full:
  kd: {}
"""


def as_an_older_version_wrote_it(folder: Path, text: str) -> None:
    """Makes the record as it was before it had the order of methods."""
    sweep, name = folder / "s", "sweep.json"
    body = open_sealed("sweep", (sweep / name).read_bytes(), name)
    for field in ("methods", "tasks"):
        del body[field]
    (sweep / name).write_bytes(seal("sweep", body))
    (sweep / "space.yaml").write_text(text)


def test_the_order_of_methods_and_tasks_outlives_the_driver(tmp_path: Path) -> None:
    begin(tmp_path)
    space = resumed(tmp_path).space
    assert list(space.methods) == ["l2", "full", "kd"]
    assert list(space.tasks) == ["s", "g"]


def test_an_older_record_goes_on_in_the_order_of_its_text(tmp_path: Path) -> None:
    expected = undisturbed(begin(tmp_path / "living"))
    begin(tmp_path / "older")
    as_an_older_version_wrote_it(tmp_path / "older", YAML)
    assert list(resumed(tmp_path / "older").space.tasks) == ["s", "g"]
    assert killed_everywhere(tmp_path / "older") == expected


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("methods: {l2: {}, gone: {}}", ["l2", "full", "kd"]),  # others came by --set, one left by it
        ("", ["full", "kd", "l2"]),
        ("methods: [", ["full", "kd", "l2"]),
        ("methods: 3", ["full", "kd", "l2"]),
    ],
)
def test_an_older_record_whose_text_says_less_goes_on_too(text: str, order: list[str], tmp_path: Path) -> None:
    begin(tmp_path)
    as_an_older_version_wrote_it(tmp_path, text)
    assert list(resumed(tmp_path).space.methods) == order


def test_a_method_that_an_older_version_left_behind_comes_first(tmp_path: Path) -> None:
    """An older version took methods by position in a JSON of sorted names: after a resume l2 twice, kd never."""
    work = begin(tmp_path, sampler="random")
    work_off(work, at_most=4)
    rename_method(tmp_path / "s", "0003-kd", "l2", asked(tmp_path)["0001-l2"])
    undisturbed(resumed(tmp_path))
    counts = Counter(job.recipe.method for job in asked(tmp_path).values())
    assert counts == {"plain": 1, "l2": 4, "full": 4, "kd": 4}


def rename_method(folder: Path, name: str, method: str, like: TrialJob) -> None:
    """Changes a recorded ask into one of another method."""
    for file in [*(folder / "points").glob(f"{name}-*"), folder / "asked" / f"{name}.json"]:
        file.unlink()
    number = name.split("-")[0]
    source = next((folder / "asked").glob(f"*-{method}.json"))
    body = open_sealed("asked", source.read_bytes(), source.name)
    del body["trial"]  # older versions did not note it
    (folder / "asked" / f"{number}-{method}.json").write_bytes(seal("asked", body))
    assert like.recipe.method == method
