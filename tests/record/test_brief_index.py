"""A listing of many records reads an index, and every record that is not as it was indexed."""

import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from synthetic_sweep import make_records, make_space, make_sweep

from rayforget.commands.list import print_sweeps
from rayforget.errors import RecordError
from rayforget.record.brief_index import BriefIndex
from rayforget.record.removal import remove_sweep
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep
from rayforget.values.brief import CheckpointBrief


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Folders of the files that stores read."""
    counts: Counter[str] = Counter()
    read = Store.read

    def counted(store: Store, name: str) -> bytes:
        counts[name.partition("/")[0]] += 1
        return read(store, name)

    monkeypatch.setattr(Store, "read", counted)
    monkeypatch.setattr("rayforget.record.storage.local_folder._RACY_NS", 0)  # the records were made this very second
    return counts


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    records, _ = make_records(trials=70, seeds=1, scale=0.02, fractions=(1.0,))
    make_sweep(make_space(folder, trainings=70, seeds=1), "s", records, at=1000.0)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "storage")
    return tmp_path / "storage"


def briefs(folder: Path) -> list[CheckpointBrief]:
    return Sweep.open(Store.open(folder), "s").briefs()


def test_a_second_listing_reads_no_record(
    folder: Path, reads: Counter[str], capsys: pytest.CaptureFixture[str]
) -> None:
    print_sweeps(str(folder))
    first = capsys.readouterr().out
    assert reads.pop("points") == 72
    print_sweeps(str(folder))
    assert capsys.readouterr().out == first
    assert "points" not in reads


def test_what_the_index_tells_is_what_the_records_tell(folder: Path, reads: Counter[str]) -> None:
    read = briefs(folder)
    reads.clear()
    assert briefs(folder) == read
    assert not reads["points"]


def test_a_record_that_was_changed_copied_or_deleted_is_not_taken_from_the_index(
    folder: Path, reads: Counter[str]
) -> None:
    before = briefs(folder)
    points = folder / "s" / "points"
    first, second, third = sorted(points.glob("t*.json"))[:3]
    first.unlink()
    content = second.read_bytes()
    reads.clear()
    assert briefs(folder) == [brief for brief in before if f"{brief.key}.json" != first.name]
    second.write_bytes(content)  # the same, but who knows
    briefs(folder)
    assert reads["points"] == 1
    second.write_bytes(content.replace(b'"ok"', b'"ko"'))
    with pytest.raises(RecordError, match="damaged"):
        briefs(folder)
    second.write_bytes(content)
    third.rename(points / "aside")
    second.rename(third)  # keeps its times and its inode, under another name
    reads.clear()
    with suppress(RecordError):  # whatever is said of a record in another's place
        briefs(folder)
    assert reads["points"] == 1


@pytest.mark.parametrize("damage", [b"", b"{}", b"\n[]", b"half"])
def test_a_damaged_index_is_ignored_and_made_again(folder: Path, reads: Counter[str], damage: bytes) -> None:
    before = briefs(folder)
    index = BriefIndex(Store.open(folder).within("s"))
    whole = index.path.read_bytes()
    index.path.write_bytes(whole[: len(whole) // 2] if damage == b"half" else damage)
    assert briefs(folder) == before
    assert index.path.read_bytes() == whole


def test_an_index_that_cannot_be_written_only_costs_time(folder: Path, reads: Counter[str]) -> None:
    (folder / "cache").write_text("a file in the folder's place")
    assert briefs(folder) == briefs(folder)
    assert reads["points"] == 144


def test_it_goes_with_its_sweep(folder: Path) -> None:
    briefs(folder)
    index = BriefIndex(Sweep.open(Store.open(folder), "s").store)
    assert index.path.exists()
    remove_sweep(Store.open(folder), "s")
    assert not index.path.exists()
