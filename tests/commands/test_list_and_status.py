"""What is said of the recorded sweeps without a report."""

import shutil
from pathlib import Path

import golden_text
import pytest
from command_types import Run, Says

from rayforget.record.envelope import seal
from rayforget.record.jobs import NotedJobs, TrialJob
from rayforget.record.standing import trainings_of
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.space.recipe import Recipe


def note_asked(sweep: Path, name: str) -> Path:
    recipe = Recipe(method="full", learning_rate=1e-3, epochs=1, batch_size=4, seed=0)
    NotedJobs(Store.open(sweep)).save(TrialJob(name=name, recipe=recipe))
    return sweep / "asked" / f"{name}.json"


def test_list_shows_every_sweep_as_its_folder_and_how_far_it_is(says: Says, recorded: Path) -> None:
    (recorded / "half").rename(recorded / "renamed")
    assert says("list", "list") == 0


@pytest.mark.slow
def test_a_file_of_the_record_that_is_torn_or_out_of_place_is_told_by_all_in_the_same_words(
    run: Run, recorded: Path
) -> None:
    def copied(path: Path, name: str) -> None:
        shutil.copy(path, path.with_name(name))

    def torn(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:100])

    whole = recorded / "whole"
    shutil.rmtree(recorded / "half")
    a_record, a_test = (sorted((whole / folder).glob("t0*.json"))[0] for folder in ("points", "test"))
    a_note = note_asked(whole, "0099-full")
    original = {path: path.read_bytes() for path in (a_record, a_test, a_note)}
    said = []
    for what, damage in {
        "a record under another training's name": lambda: copied(a_record, "0098-full-000040.json"),
        "scores on test under another training's name": lambda: copied(a_test, "0098-full-000040-0123456789ab.json"),
        "a note under another training's name": lambda: copied(a_note, "0098-full.json"),
        "a torn record": lambda: torn(a_record),
        "torn scores on test": lambda: torn(a_test),
        "a torn note": lambda: torn(a_note),
    }.items():
        damage()
        code, reason = run("status", "whole")
        assert (code, run("sweep", "--resume", "whole")) == (2, (2, reason))
        assert reason in " ".join(run("list")[1].split())
        if "note" not in what:  # the report reads no notes
            assert run("frontier", "whole") == (2, reason)
        said += [f"{what}:", f"  {reason}"]
        for path in whole.glob("*/0098-*"):
            path.unlink()
        for path, data in original.items():
            path.write_bytes(data)
    names = {str(recorded.parent): "HERE", a_record.stem: "TRIAL-STEP", a_test.stem: "TRIAL-STEP-HASH"}
    golden_text.check("commands", "any command: a file of the record is torn or out of place", "\n".join(said), names)


def test_a_renamed_sweep_goes_by_its_folders_name_everywhere(run: Run, recorded: Path) -> None:
    (recorded / "half").rename(recorded / "renamed")
    sweep = Sweep.open(Store.open(recorded), "renamed")
    assert Sweep.open(Store.open(recorded), sweep.info.name).trials() == sweep.trials()  # as a worker opens it
    code, text = run("status", "renamed")
    assert (code, "sweep --resume renamed" in text) == (0, True)


def test_list_of_nothing_says_how_to_start(says: Says) -> None:
    assert says("list: no sweep", "list") == 0


def test_list_shows_a_damaged_sweep_as_one_row(says: Says, recorded: Path) -> None:
    for name, file in (
        ("no_info", "sweep.json"),
        ("no_space", "space.json"),
        ("no_points", "points/theta_0-000000.json"),
    ):
        shutil.copytree(recorded / "half", recorded / name)
        (recorded / name / file).write_bytes(b"{")
    assert says("list: damaged sweeps", "list") == 0


def test_status_tells_failures_what_is_unfinished_and_how_to_go_on(says: Says, recorded: Path) -> None:
    assert says("status of a finished sweep", "status", "whole") == 0
    assert says("status of a new sweep", "status", "new") == 0
    note_asked(recorded / "half", "0099-full")  # handed out, and not recorded
    elsewhere = recorded.rename(recorded.with_name("my runs"))
    assert says("status of a sweep elsewhere, half done", "status", "half", "--storage", elsewhere) == 0


def test_a_training_of_a_package_that_is_not_here_is_unfinished_and_no_fault(run: Run, recorded: Path) -> None:
    recipe = {"method": "bent", "penalties": [{"kind": "of_nobody_here", "strength": 1}]}
    body = {"trial": "0099-bent", "recipe": recipe, "fraction": 1, "alpha": 1, "asked": {}, "frontier": []}
    (recorded / "half" / "asked").mkdir(exist_ok=True)
    (recorded / "half" / "asked" / "0099-bent.json").write_bytes(seal("asked", body))
    code, text = run("status", "half")
    assert code == 0, text
    assert "0099-bent" in text


def test_the_budget_of_a_resumed_sweep_counts(recorded: Path) -> None:
    sweep = Sweep.open(Store.open(recorded), "whole")
    assert trainings_of(sweep) == 24 + 3
    sweep.note_budget(30)
    assert trainings_of(sweep) == 30 + 3
