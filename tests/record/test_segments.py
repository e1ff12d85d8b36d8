"""A remote folder of many files is read in few requests, and nothing is lost with what makes it so."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from obstore.store import MemoryStore
from synthetic_sweep import make_space

from rayforget.errors import RecordError
from rayforget.record.jobs import NotedJobs, TrialJob
from rayforget.record.removal import remove_sweep
from rayforget.record.segments import LEAST
from rayforget.record.storage.remote_folder import RemoteFolder
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.space.methods import plain_of
from rayforget.values.brief import CheckpointBrief

NUM = 9 * LEAST + 20
INFO = SweepInfo(name="s", space_name="space", created=1.0)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Counter[str]:
    """Folders of the files that stores read."""
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    counts: Counter[str] = Counter()
    read = Store.read

    def counted(store: Store, name: str) -> bytes:
        counts[name.partition("/")[0]] += 1
        return read(store, name)

    monkeypatch.setattr(Store, "read", counted)
    return counts


@pytest.fixture
def storage() -> Store:
    return Store(RemoteFolder(MemoryStore(), "", "memory://bucket"))


def driven(storage: Store, make_record, tmp_path: Path, num: int = NUM) -> Sweep:
    """A sweep of which a driver saw every record as it came."""
    space = make_space(tmp_path / "space", trainings=num, seeds=1).model_dump(mode="json")
    sweep = Sweep.create(storage, INFO, space_text="", space=space)
    for number in range(num):
        record = make_record(trial=f"{number:04d}-l2", seed=number)
        sweep.add(record)
        sweep.recorded(record.trial, record.step)
    return sweep


def again(storage: Store) -> list[CheckpointBrief]:
    """What a process on a new machine reads."""
    shutil.rmtree(Path.home() / ".cache", ignore_errors=True)
    return Sweep.open(storage, "s").briefs()


def test_a_new_driver_reads_a_few_segments_and_what_is_in_none(storage, reads, make_record, tmp_path) -> None:
    sweep = driven(storage, make_record, tmp_path)
    known = sweep.briefs()
    assert len(storage.files("s/segments/points")) == 2  # eight of the first level are one of the second
    reads.clear()
    assert again(storage) == known
    assert reads["segments"] == 2
    assert reads["points"] == NUM - 9 * LEAST


def test_without_segments_or_with_damaged_ones_nothing_is_lost(storage, reads, make_record, tmp_path) -> None:
    known = driven(storage, make_record, tmp_path).briefs()
    small, large = sorted(storage.files("s/segments/points").items(), key=lambda item: item[1])
    storage.write(f"s/segments/points/{large[0]}", storage.read(f"s/segments/points/{large[0]}")[:-9])
    assert again(storage) == known
    storage.delete(f"s/segments/points/{small[0]}")
    reads.clear()
    assert again(storage) == known
    assert reads["points"] == NUM


def test_a_record_that_is_another_by_now_is_read(storage, reads, make_record, tmp_path) -> None:
    driven(storage, make_record, tmp_path)
    trial = "0005-l2"
    (first,) = (brief for brief in again(storage) if brief.trial == trial)
    storage.delete(f"s/points/{trial}-000080.json")
    assert trial not in {brief.trial for brief in again(storage)}
    Sweep.open(storage, "s").add(make_record(trial=trial, seed=1000))
    (now,) = (brief for brief in again(storage) if brief.trial == trial)
    assert now.points != first.points


def test_a_driver_that_goes_on_adds_to_the_segments_of_the_one_before(storage, reads, make_record, tmp_path) -> None:
    driven(storage, make_record, tmp_path, num=LEAST + 40)
    sweep = Sweep.open(storage, "s")
    sweep.briefs()
    for number in range(LEAST + 40, 2 * LEAST):
        sweep.add(make_record(trial=f"{number:04d}-l2", seed=number))
        sweep.recorded(f"{number:04d}-l2", 80)
    reads.clear()
    assert len(again(storage)) == 2 * LEAST
    assert reads == {"sweep.json": 1, "segments": 2}


def test_notes_are_read_likewise(storage, reads, tmp_path) -> None:
    plain = plain_of(make_space(tmp_path, trainings=1, seeds=1))
    jobs = [
        TrialJob(name=f"{i:04d}-x", recipe=plain.recipe(seed=i), asked={"alpha": 0.5}, frontier=((0.1 * i, 0.2),))
        for i in range(LEAST + 3)
    ]
    notes = NotedJobs(storage)
    for job in jobs:
        notes.save(job)
    reads.clear()
    assert list(NotedJobs(storage).load().values()) == jobs
    assert reads == {"segments": 1, "asked": 3}
    storage.write("asked/0001-x.json", b"{}")
    with pytest.raises(RecordError, match="0001-x"):
        NotedJobs(storage).load()


def test_a_local_folder_has_none(tmp_path, make_record) -> None:
    sweep = driven(Store.open(tmp_path / "runs"), make_record, tmp_path)
    assert not sweep.store.exists("segments")


def test_they_go_with_their_sweep(storage, reads, make_record, tmp_path) -> None:
    sweep = driven(storage, make_record, tmp_path, num=LEAST)
    notes, plain = NotedJobs(sweep.store), plain_of(make_space(tmp_path, trainings=1, seeds=1))
    for i in range(LEAST):
        notes.save(TrialJob(name=f"{i:04d}-x", recipe=plain.recipe(seed=i)))
    assert storage.folders("s/segments") == ["asked", "points"]
    assert remove_sweep(storage, "s") == []
    assert not storage.entries()
