"""`rayforget report`: the page, and where it goes."""

from pathlib import Path

import golden_text
import pytest
from command_types import Run, Says


def test_a_sweep_without_any_score_has_no_report(says: Says, recorded: Path) -> None:
    assert says("report of a new sweep", "report", "new") == 2


@pytest.mark.parametrize("out", ["file/report.html", "file/below"])
def test_out_below_a_file_is_refused_before_anything_is_computed(
    out: str, run: Run, recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("rayforget.commands.report.read_report", lambda *_, **__: pytest.fail("computed"))
    code, text = run("report", "whole", "--out", tmp_path / out)
    assert code == 2
    assert "is no folder" in text


@pytest.mark.slow
def test_the_report_goes_beside_the_record_into_a_folder_or_into_a_file(
    run: Run, recorded: Path, tmp_path: Path
) -> None:
    code, text = run("report", "whole")
    assert code == 0
    golden_text.check("commands", "report of a whole sweep", text, {str(tmp_path): "HERE"})
    page = recorded / "whole" / "report" / "frontier.html"
    content = page.read_bytes()
    page.unlink()
    (tmp_path / "folder.html").mkdir()
    for out, written in (
        ("new/folder", "new/folder/frontier.html"),
        ("new/my report.html", "new/my report.html"),
        ("folder.html", "folder.html/frontier.html"),
    ):
        code, text = run("report", "whole", "--out", tmp_path / out)
        assert code == 0
        assert f"report: {tmp_path / written}" in text
        assert (tmp_path / written).read_bytes() == content
    assert not page.exists()
