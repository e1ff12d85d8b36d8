"""The last two states are kept; a damaged one is never taken and never fails a training that can go on without it."""

import json
import logging
from dataclasses import replace

import pytest
import torch

from rayforget.errors import RecordError
from rayforget.record.envelope import seal
from rayforget.record.resume import Owner, load_resume, newest_resume, save_resume
from rayforget.record.storage.local_folder import LocalFolder
from rayforget.record.storage.store import Store

OWNER = Owner(sweep="one", trial="0-l2", recipe="a1b2")


@pytest.fixture(params=["local", "s3"])
def folder(request, tmp_path):
    if request.param == "local":
        return Store.open(tmp_path).within("resume/0-l2")
    return request.getfixturevalue("s3").within("resume/0-l2")


def state(step: int, numbers: int = 1001) -> dict:
    return {"step": step, "trained": {"w": torch.full((numbers,), float(step))}, "loss": 0.5}


def newest_step(folder: Store) -> int | None:
    found = load_resume(folder, newest_resume(folder, OWNER))
    return None if found is None else found["step"]


def test_nothing_saved_is_nothing_to_go_on_from(folder):
    assert newest_resume(folder, OWNER) is None
    assert load_resume(folder, None) is None


@pytest.mark.parametrize("numbers", [1, 1001, 1_000_000])
def test_what_is_loaded_is_what_was_saved(folder, numbers):
    save_resume(folder, state(7, numbers), OWNER)
    found = load_resume(folder, newest_resume(folder, OWNER))
    assert found is not None
    assert torch.equal(found["trained"]["w"], state(7, numbers)["trained"]["w"])
    assert (found["step"], found["loss"]) == (7, 0.5)


def test_the_last_two_are_kept_and_never_three(folder, monkeypatch):
    most = 0
    write_by = Store.write_by

    def counting(self, name, writer):
        nonlocal most
        write_by(self, name, writer)
        most = max(most, sum(file.endswith(".pt") for file in self.files()))

    monkeypatch.setattr(Store, "write_by", counting)
    for step in (9, 10, 99, 100, 1000):
        save_resume(folder, state(step), OWNER)
        assert newest_step(folder) == step
    assert [name for name in folder.files() if name.endswith(".pt")] == ["state-000000100.pt", "state-000001000.pt"]
    assert most == 2


def truncate(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flip(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]


@pytest.mark.parametrize("damage", [truncate, flip, lambda data: b"", lambda data: data + b"x"])
@pytest.mark.parametrize("file", ["state-000000002.pt", "state-000000002.json"])
def test_a_damaged_state_is_discarded_for_the_one_before_it_with_a_warning(folder, caplog, damage, file):
    save_resume(folder, state(1), OWNER)
    save_resume(folder, state(2), OWNER)
    folder.write(file, damage(folder.read(file)))
    with caplog.at_level(logging.WARNING, "rayforget"):
        assert newest_step(folder) == 1
    (warning,) = caplog.records
    assert "state-000000002.pt, with which a training was to go on, is not used" in warning.getMessage()
    assert newest_step(folder) == 1
    assert not folder.exists("state-000000002.pt")
    save_resume(folder, state(2), OWNER)
    assert newest_step(folder) == 2


def test_where_all_are_damaged_the_training_starts_anew(folder, caplog):
    for step in (1, 2):
        save_resume(folder, state(step), OWNER)
        folder.write(f"state-{step:09d}.pt", b"")
    assert newest_step(folder) is None
    assert len(caplog.records) == 2
    assert folder.files() == {}


def test_a_state_whose_saver_died_before_its_seal_does_not_count(folder):
    save_resume(folder, state(1), OWNER)
    save_resume(folder, state(2), OWNER)
    folder.delete("state-000000002.json")
    assert newest_step(folder) == 1
    save_resume(folder, state(3), OWNER)
    assert newest_step(folder) == 3
    assert sorted(folder.files()) == [f"state-{n:09d}.{end}" for n in (1, 3) for end in ("json", "pt")]


def test_the_state_of_an_earlier_version_is_taken_if_it_is_whole(folder):
    folder.write_by("state.pt", lambda stream: torch.save(state(5), stream))
    assert newest_step(folder) == 5
    save_resume(folder, state(6), OWNER)
    assert newest_step(folder) == 6
    folder.write("state-000000006.pt", b"")
    assert newest_step(folder) == 5
    folder.write("state.pt", truncate(folder.read("state.pt")))
    assert newest_step(folder) is None


@pytest.mark.parametrize("other", [{"trial": "1-l2"}, {"recipe": "c3d4"}, {"sweep": "two"}])
def test_a_state_that_was_copied_from_another_training_is_discarded_with_a_warning(folder, caplog, other):
    save_resume(folder, state(1), OWNER)
    save_resume(folder, state(2), replace(OWNER, **other))
    with caplog.at_level(logging.WARNING, "rayforget"):
        assert newest_step(folder) == 1
    owner = replace(OWNER, **other)
    assert f"it belongs to training {owner.trial} of sweep {owner.sweep} (recipe {owner.recipe})" in caplog.text
    assert not folder.exists("state-000000002.pt")


def test_a_state_of_a_version_that_did_not_say_whose_it_is_is_taken(folder):
    save_resume(folder, state(1), OWNER)
    body = json.loads(folder.read("state-000000001.json"))
    del body["body"]["owner"]
    folder.write("state-000000001.json", seal("resume", body["body"]))
    assert newest_step(folder) == 1


def test_a_state_that_is_not_there_is_named(folder):
    with pytest.raises(RecordError, match=r"no file state-000000003\.pt in"):
        load_resume(folder, "state-000000003")


def test_a_saver_that_fails_midway_leaves_the_state_before(tmp_path, monkeypatch):
    folder = Store.open(tmp_path)
    save_resume(folder, state(1), OWNER)
    replace = LocalFolder.replace

    def failing(self, path, writer):
        def half(stream):
            writer(stream)
            raise KeyboardInterrupt

        replace(self, path, half)

    monkeypatch.setattr(LocalFolder, "replace", failing)
    with pytest.raises(KeyboardInterrupt):
        save_resume(folder, state(2), OWNER)
    monkeypatch.undo()
    assert sorted(folder.files()) == ["state-000000001.json", "state-000000001.pt"]
    assert newest_step(folder) == 1
