"""A golden text differs from what is said where a case is changed, missing or left over."""

from pathlib import Path

import golden_text
import pytest


def test_every_difference_is_told_by_its_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden_text, "FOLDER", tmp_path)
    monkeypatch.setenv("REMAKE", "1")
    golden_text.compare("some", {"same": ["> a"], "changed": ["1|b", "> b"], "left over": ["> c"]})
    monkeypatch.delenv("REMAKE")
    golden_text.compare("some", golden_text.read("some"))
    with pytest.raises(pytest.fail.Exception) as caught:
        golden_text.compare("some", {"same": ["> a"], "changed": ["1|b", "> d"], "new": ["> e"]})
    _, *told = str(caught.value).split("\n\n")
    assert told == [
        "== changed\n  1|b\n- > b\n+ > d",
        "== left over\n  is in the file and is no case of the test",
        "== new\n  is not in the file\n> e",
    ]


def test_what_stands_before_the_first_case_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden_text, "FOLDER", tmp_path)
    monkeypatch.setenv("REMAKE", "1")
    (tmp_path / "some.txt").write_text("For == readers.\n\n== a\nb\n")
    golden_text.compare("some", {"c": ["d"]})
    assert (tmp_path / "some.txt").read_text() == "For == readers.\n\n== c\nd\n"
