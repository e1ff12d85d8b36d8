"""Names and errors that other people wrote are text on the terminal, on the page, in the picture and in MLflow."""

import dataclasses
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text
from summaries import full_of_remarks, make_findings, make_paths_summary, make_summary, make_view

from rayforget import cli
from rayforget.errors import SpaceError
from rayforget.printable import one_line, printable
from rayforget.report.mlflow.mirror_plan import plan_runs
from rayforget.report.png.picture import draw_frontier
from rayforget.report.terminal.live import open_console
from rayforget.report.web.page import page_of
from rayforget.report.words.remarks import broken_remark

ODD = "[/bold]\x1b[31mred\x1b]0;title\x07\x9b1m\u202egpj\ud800.jpg"
SHOWN = "[/bold]␛[31mred␛]0;title␇�1m�gpj�.jpg"


def test_what_a_terminal_would_obey_becomes_a_picture_of_the_same_length() -> None:
    assert printable(ODD) == SHOWN
    assert len(SHOWN) == len(ODD)
    assert printable("a\n\tb é 漢 αθ0") == "a\n\tb é 漢 αθ0"
    assert one_line("a\nb\tc\r") == "a␊b␉c␍"


def test_the_console_shows_text_wherever_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    console, table = open_console(), Table(title=Text(ODD))
    table.add_column(Text(ODD))
    table.add_row(Text(ODD, style="red"))
    console.print(ODD)
    console.print(Text(ODD))
    console.print(table)
    found = capsys.readouterr().out
    assert found.count("[/bold]␛[31mred") == 5  # a table may cut off what takes more room than it was measured
    assert "\x1b" not in found


def test_an_errors_text_only_shows(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise SpaceError(ODD)

    monkeypatch.setattr("rayforget.space.file.load.load_space", fail)
    monkeypatch.setattr("sys.argv", ["rayforget", "check"])
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == f"{SHOWN}\n"


def test_a_files_name_cannot_look_like_a_line_of_ours() -> None:
    assert broken_remark("tasks.a.val", ["x\nsweep done: 100 %"]).count("\n") == 0


def test_the_page_and_the_picture_take_any_name(tmp_path: Path) -> None:
    """`$a^$` is no formula, markup no markup, and half a character can be written."""
    summary = full_of_remarks(make_paths_summary())
    remarks = (broken_remark("tasks.a.val", [ODD]), "<script>alert(1)</script>")
    odd = dataclasses.replace(summary, name=f"$a^$ {ODD}", notice=ODD, remarks=remarks)
    page = page_of(make_findings(odd, "several paths"))
    page.encode()
    assert SHOWN in page
    assert "\x1b" not in page[: page.index("<script")] + page[page.rindex("</script>") :]
    assert "<script>alert" not in page
    draw_frontier(dataclasses.replace(make_summary("full"), name="$a^$", notice="$b_$"), tmp_path / "picture.png")


def test_mlflow_gets_text_that_a_database_can_hold() -> None:
    view = make_view(trials=2)
    records = [dataclasses.replace(record, recipe={**record.recipe, "note": ODD}) for record in view.records[1:]]
    for run in plan_runs(dataclasses.replace(view, records=[view.records[0], *records])):
        for text in (*run.params.values(), *run.tags.values()):
            text.encode()
            assert "\x1b" not in text
