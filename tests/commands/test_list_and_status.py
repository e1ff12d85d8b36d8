"""What is said of the recorded sweeps without a report."""

import shutil
from pathlib import Path

from command_types import Says

from rayforget.record.standing import trainings_of
from rayforget.record.store import Store
from rayforget.record.sweep import Sweep


def test_list_shows_every_sweep_as_its_folder_and_how_far_it_is(says: Says, recorded: Path) -> None:
    (recorded / "half").rename(recorded / "renamed")
    assert says("list", "list") == 0


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
    (recorded / "half" / "asked").mkdir()
    (recorded / "half" / "asked" / "t0099.json").write_text("{}")  # handed out, and not recorded
    elsewhere = recorded.rename(recorded.with_name("my runs"))
    assert says("status of a sweep elsewhere, half done", "status", "half", "--storage", elsewhere) == 0


def test_the_budget_of_a_resumed_sweep_counts(recorded: Path) -> None:
    sweep = Sweep.open(Store.open(recorded), "whole")
    assert trainings_of(sweep) == 24 + 3
    sweep.note_budget(30)
    assert trainings_of(sweep) == 30 + 3
