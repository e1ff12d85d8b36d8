import numpy as np
import pytest

from rayforget.tasks.text.token_files import Tokenised, tokenised


def make(calls):
    def made() -> Tokenised:
        calls.append(1)
        arrays = {"tokens": np.arange(5, dtype=np.int32), "none": np.zeros((0,), dtype=np.int64)}
        return Tokenised(arrays=arrays, facts={"cut": 3, "until": [["\n"]]})

    return made


def test_what_was_made_once_is_found_again_and_cannot_be_written_to(tmp_path):
    calls: list[int] = []
    for _ in range(3):
        found = tokenised(tmp_path / "cache", ["a", 1], make(calls), what="x")
        assert found.arrays["tokens"].tolist() == [0, 1, 2, 3, 4]
        assert found.arrays["none"].shape == (0,)
        assert found.facts == {"cut": 3, "until": [["\n"]]}
        for array in found.arrays.values():
            assert not array.flags.writeable
    assert isinstance(found.arrays["tokens"], np.memmap)
    assert len(calls) == 1


def test_another_key_is_another_folder(tmp_path):
    calls: list[int] = []
    for key in (["a", 1], ["a", 2], ["a", None], ["a", 1]):
        tokenised(tmp_path, key, make(calls), what="x")
    assert len(calls) == 3


@pytest.mark.parametrize("name", ["tokens.npy", "facts.json"])
@pytest.mark.parametrize("kept", [0, 20])
def test_a_part_of_a_folder_is_made_again(tmp_path, name, kept):
    calls: list[int] = []
    tokenised(tmp_path, ["a"], make(calls), what="x")
    (path,) = tmp_path.glob(f"*/{name}")
    path.write_bytes(path.read_bytes()[:kept])
    assert tokenised(tmp_path, ["a"], make(calls), what="x").arrays["tokens"].tolist() == [0, 1, 2, 3, 4]
    assert len(calls) == 2


def test_what_a_dead_process_left_is_removed(tmp_path):
    calls: list[int] = []
    tokenised(tmp_path, ["a"], make(calls), what="x")
    (folder,) = (each for each in tmp_path.iterdir() if each.name != "locks")
    folder.rename(tmp_path / f"{folder.name}.left")
    tokenised(tmp_path, ["a"], make(calls), what="x")
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([folder.name, "locks"])


def test_nothing_is_kept_of_what_fails(tmp_path):
    def fail() -> Tokenised:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        tokenised(tmp_path, ["a"], fail, what="x")
    assert [each.name for each in tmp_path.iterdir()] == ["locks"]
