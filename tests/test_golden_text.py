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


@pytest.mark.parametrize("family", ["commands", "reports"])
def test_every_case_that_is_checked_alone_belongs_to_a_test(family: str) -> None:
    assert golden_text.stale_cases(family) == []


def test_a_case_alone_is_kept_with_its_empty_lines_and_a_change_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golden_text, "FOLDER", tmp_path)
    monkeypatch.setenv("REMAKE", "1")
    (tmp_path / "some.txt").write_text("For readers.\n\n== nobody" + "'s\nc\n")
    golden_text.check("some", "two", "  first\n\nlast   \n\n", {"first": "one", "fir": "no"})
    golden_text.check("some", "one", "")
    assert golden_text.texts("some") == {"nobody" + "'s": "c", "one": "", "two": "  one\n\nlast"}
    assert (tmp_path / "some.txt").read_text().startswith("For readers.\n\n== nobody")
    monkeypatch.delenv("REMAKE")
    golden_text.check("some", "two", "\n  one\n\nlast")
    golden_text.check("some", "one", "")
    with pytest.raises(pytest.fail.Exception, match=r"== two\n    one\n\n- last\n\+ other$"):
        golden_text.check("some", "two", "  one\n\nother")
    with pytest.raises(pytest.fail.Exception, match=r"== three\n  is not in the file\nx$"):
        golden_text.check("some", "three", "x")
    assert golden_text.stale_cases("some") == ["nobody" + "'s"]
