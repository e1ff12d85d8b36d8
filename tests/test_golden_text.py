"""The kept texts are those of the tests, and a changed text fails with what changed."""

from pathlib import Path

import golden_text
import pytest


def test_every_section_belongs_to_a_test() -> None:
    assert golden_text.stale_sections() == []


def test_a_text_is_kept_under_its_name_and_a_change_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden_text, "MESSAGES", tmp_path)
    monkeypatch.setenv("REMAKE", "1")
    golden_text.check("a", "two", "  first\n\nlast   \n\n", {"first": "one", "fir": "no"})
    golden_text.check("a", "one", "")
    assert golden_text.sections("a") == {"one": "", "two": "  one\n\nlast"}
    monkeypatch.delenv("REMAKE")
    golden_text.check("a", "two", "\n  one\n\nlast")
    golden_text.check("a", "one", "")
    with pytest.raises(pytest.fail.Exception, match=r"a.txt: two\n(.*\n)+-last\n\+other\n"):
        golden_text.check("a", "two", "  one\n\nother")
    with pytest.raises(pytest.fail.Exception, match="no section 'three'"):
        golden_text.check("a", "three", "x")
    assert golden_text.stale_sections() == []
    (tmp_path / "a.txt").write_text("=== " + "nobody's\n")
    assert golden_text.stale_sections() == ["a.txt: nobody's"]
