"""A report made again reads the items of what is new, and says the same."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from synthetic_sweep import make_records, make_space, make_sweep

from rayforget.frontier.summary import Summary
from rayforget.record.removal import remove_sweep
from rayforget.record.shares_index import SharesIndex
from rayforget.record.space_of import space_here
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.report.present import read_report

TRIALS = 50


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Trials whose items were read."""
    counts: Counter[str] = Counter()
    read = Sweep.record

    def counted(sweep: Sweep, trial: str, step: int) -> object:
        counts[trial] += 1
        return read(sweep, trial, step)

    monkeypatch.setattr(Sweep, "record", counted)
    return counts


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    records, _ = make_records(trials=TRIALS, seeds=2, scale=0.1, fractions=(1.0,))
    make_sweep(make_space(folder, trainings=TRIALS, seeds=2), "s", records, at=1000.0)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "storage")
    return tmp_path / "storage"


def summary(folder: Path) -> Summary:
    sweep = Sweep.open(Store.open(folder), "s")
    return read_report(sweep, space_here(sweep, str(folder))).summary


def index(folder: Path) -> SharesIndex:
    return SharesIndex(Store.open(folder).within("s"), ())


def shown(found: Summary) -> set[str]:
    """Trials of which a report shows errors, so that it needs their items each time."""
    return {found.points[i].trial for i in found.val}


def test_a_second_report_reads_what_it_shows_and_says_the_same(folder: Path, reads: Counter[str]) -> None:
    first = summary(folder)
    assert len(reads) >= TRIALS
    reads.clear()
    assert summary(folder) == first
    assert set(reads) == shown(first)
    assert len(reads) < TRIALS


def test_a_training_that_is_new_is_read_and_the_others_are_not(folder: Path, reads: Counter[str]) -> None:
    whole = summary(folder)
    late = next(path for path in sorted((folder / "s" / "points").glob("t*.json")) if path.name[:5] not in shown(whole))
    content = late.read_bytes()
    index(folder).remove()
    late.unlink()
    summary(folder)
    late.write_bytes(content)
    reads.clear()
    assert summary(folder) == whole
    assert set(reads) == shown(whole) | {late.name[:5]}
    reads.clear()
    summary(folder)
    assert late.name[:5] not in reads


def test_another_box_makes_all_shares_other_ones(folder: Path, reads: Counter[str]) -> None:
    both = summary(folder)
    plain = next((folder / "s" / "points").glob("plain-1-*.json"))
    plain.unlink()
    reads.clear()
    one = summary(folder)
    assert len(reads) >= TRIALS
    assert [m.one_curve for m in one.methods] != [m.one_curve for m in both.methods]
    index(folder).remove()
    assert summary(folder) == one


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.999])
def test_a_damaged_one_is_ignored_and_made_again(folder: Path, reads: Counter[str], keep: float) -> None:
    first = summary(folder)
    path = index(folder).path
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    assert summary(folder) == first
    reads.clear()
    assert summary(folder) == first
    assert set(reads) == shown(first)


def test_it_goes_with_its_sweep(folder: Path) -> None:
    summary(folder)
    assert index(folder).path.exists()
    remove_sweep(Store.open(folder), "s")
    assert not index(folder).path.exists()
