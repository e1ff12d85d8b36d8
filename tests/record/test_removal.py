"""`rm` deletes what a sweep made, and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from rayforget.errors import RecordError, StorageError
from rayforget.record.jobs import NotedJobs, TrialJob
from rayforget.record.names import sweep_names
from rayforget.record.removal import remove_sweep
from rayforget.record.resume import Owner, save_resume
from rayforget.record.storage.driver_lock import sole_driver
from rayforget.record.storage.store import Store
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.record.weights import weights_name
from rayforget.space.recipe import Recipe
from rayforget.values.records import TestRecord

SPACE = {"name": "tiny", "foundation": {}, "tasks": {}, "methods": {}}
TRIAL = "0003-l2"


def create(storage: Store, name: str = "tiny-1") -> Sweep:
    info = SweepInfo(name=name, space_name="tiny", created=1.5)
    return Sweep.create(storage, info, space_text="name: tiny\n", space=SPACE)


def fill(sweep: Sweep, make_record) -> None:
    """Every kind of file that is ever in a sweep's folder."""
    record = make_record(trial=TRIAL)
    sweep.add(record)
    scores = {point.spot: point.scores for point in record.points}
    sweep.add_tests(TestRecord(trial=TRIAL, step=80, theta_1_hash="x", scores=scores, finished=2.0))
    failed = replace(make_record(trial="0004-l1"), status="failed", reason="it raised", points=())
    sweep.add(failed)
    sweep.set_aside(failed)
    sweep.note_budget(4)
    recipe = Recipe(method="l2", learning_rate=1e-3, epochs=1, batch_size=4, seed=0)
    NotedJobs(sweep.store).save(TrialJob(name=TRIAL, recipe=recipe))
    for step in (1, 2, 3):
        save_resume(sweep.resume_folder(TRIAL), {"step": step}, Owner(sweep="one", trial=TRIAL, recipe=recipe.key))
    others = [weights_name(TRIAL, 80), "report/frontier.png", "report/frontier.html", "report/frontier.json"]
    others += ["kernels/A-5.json", "ray/tune/0a1b2/params.pkl", "ray/tune/x", f"resume/{TRIAL}/state.pt", "ray/.x/y"]
    for name in others:
        sweep.store.write(name, b"?")


def test_a_removed_sweep_is_gone_with_all_that_it_made_and_its_neighbour_is_not(storage, make_record):
    fill(create(storage), make_record)
    create(storage, "tiny-2")
    assert remove_sweep(storage, "tiny-1") == []
    assert not storage.exists("tiny-1")
    assert sweep_names(storage) == ["tiny-2"]
    storage.write("cache/scores/x.json", b"")
    for name in ("half", "tiny-1", "cache"):
        with pytest.raises(RecordError, match=f"no sweep {name} in .*; found: tiny-2"):
            remove_sweep(storage, name)
    assert storage.exists("cache/scores/x.json")


@pytest.mark.parametrize("gone", [["sweep.json", "space.yaml"], ["space.json", "space.yaml"], ["space.yaml"]])
def test_what_is_left_of_a_sweep_is_removed_too(storage, gone):
    sweep = create(storage)
    for name in gone:
        sweep.store.delete(name)
    if "space.json" not in gone:
        sweep.store.write("sweep.json", b"{")  # damaged
    assert remove_sweep(storage, "tiny-1") == []
    assert not storage.exists("tiny-1")


@pytest.mark.parametrize("space_json", [None, b'{"observation": [3]}', b"{"])
def test_a_folder_that_merely_holds_a_space_is_no_sweep(storage, space_json):
    files = {"space.yaml": b"name: tiny\n", "thesis.tex": b"years", "points/0001-l2-000001.json": b"{}"}
    files |= {} if space_json is None else {"space.json": space_json}
    for name, data in files.items():
        storage.write(f"thesis/{name}", data)
    with pytest.raises(RecordError, match=r"no sweep thesis in .*nothing was deleted"):
        remove_sweep(storage, "thesis")
    assert {name: storage.read(f"thesis/{name}") for name in files} == files


def test_foreign_files_are_named_and_stay(storage, make_record):
    sweep = create(storage)
    fill(sweep, make_record)
    foreign = ["notes.txt", "points/mine.txt", "report/frontier (1).png", "thesis/a/b.tex", "weights/mine.bin"]
    for name in foreign:
        sweep.store.write(name, b"mine")
    left = remove_sweep(storage, "tiny-1")
    assert left == ["thesis/" if name.startswith("thesis") and storage.local else name for name in foreign]
    assert [storage.read(f"tiny-1/{name}") for name in foreign] == [b"mine"] * 5
    assert sweep_names(storage) == []
    assert sorted(sweep.store.files()) == ["notes.txt"]
    with pytest.raises(RecordError, match=r"tiny-1 in .* is something other than a sweep"):
        create(storage)


def test_links_are_named_and_stay_as_does_what_they_lead_to(tmp_path: Path, make_record):
    storage, far = Store.open(tmp_path / "runs"), tmp_path / "far"
    sweep = create(storage)
    fill(sweep, make_record)
    folder = tmp_path / "runs" / "tiny-1"
    (folder / "weights").rename(far)
    (folder / "weights").symlink_to(far)
    (folder / "points" / "0004-l2-000080.json").symlink_to(far / f"{TRIAL}-000080.safetensors")
    (folder / "ray" / "nowhere").symlink_to(tmp_path / "gone")
    assert remove_sweep(storage, "tiny-1") == ["points/0004-l2-000080.json", "ray/nowhere", "weights"]
    assert (far / f"{TRIAL}-000080.safetensors").read_bytes() == b"?"
    assert [(folder / name).is_symlink() for name in ("weights", "ray/nowhere")] == [True, True]


@pytest.mark.parametrize("path", ["tiny-1", "tiny-1/sweep.json", "tiny-1/.driver"])
def test_a_sweep_that_is_a_link_or_is_locked_by_one_is_not_touched(tmp_path: Path, path: str):
    storage, far = Store.open(tmp_path / "runs"), tmp_path / "far"
    create(storage).store.write(".driver", b"precious")
    link = tmp_path / "runs" / path
    link.rename(far)
    link.symlink_to(far)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(RecordError, match=rf"{link}.* is a link"):
        remove_sweep(storage, "tiny-1")
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_sweep_that_a_driver_holds_or_whose_lock_cannot_be_written_is_not_removed(tmp_path: Path):
    storage = Store.open(tmp_path)
    sweep = create(storage)
    with sole_driver(sweep.store), pytest.raises(RecordError, match="tiny-1 is running in another process"):
        remove_sweep(storage, "tiny-1")
    assert sweep_names(storage) == ["tiny-1"]
    (tmp_path / "tiny-1" / ".driver").unlink()
    (tmp_path / "tiny-1" / ".driver").mkdir()
    with pytest.raises(StorageError, match=r"\.driver, which keeps other drivers away, cannot be written \(Is a dir"):
        remove_sweep(storage, "tiny-1")
    (tmp_path / "tiny-1" / ".driver").rmdir()
    remove_sweep(storage, "tiny-1")
    assert sweep_names(storage) == []
