"""How a sweep ends: what is recorded is reported, and the exit code says whether all is done."""

import io
from pathlib import Path

from rich.console import Console
from toy_agenda import do_job, toy_agenda

from rayforget.conduct import INTERRUPTED, _close
from rayforget.search.agenda import Agenda, NamedJob, Next


def worked_through(folder: Path) -> Agenda:
    agenda = toy_agenda(folder)
    while isinstance(named := agenda.next(), NamedJob):
        do_job(agenda, named)
    assert named is Next.FINISHED
    return agenda


def closed(agenda: Agenda, *, finished: bool) -> tuple[int, str]:
    text = io.StringIO()
    return _close(agenda, Console(file=text, width=200), finished), text.getvalue()


def test_a_finished_sweep_is_reported_and_zero(tmp_path: Path) -> None:
    code, text = closed(worked_through(tmp_path), finished=True)
    assert code == 0
    assert "0001-full" in text
    assert (tmp_path / "s" / "report" / "frontier.html").is_file()


def test_an_interrupted_sweep_says_how_to_go_on(tmp_path: Path) -> None:
    code, text = closed(worked_through(tmp_path), finished=False)
    assert code == INTERRUPTED
    assert f"interrupted; go on with: rayforget sweep --resume s --storage {tmp_path}" in text


def test_a_broken_sweep_is_reported_then_its_error_then_how_to_go_on(tmp_path: Path) -> None:
    agenda = worked_through(tmp_path)
    agenda.halted = "OSError: [Errno 28] No space left on device: [bold]x[/bold]"
    code, text = closed(agenda, finished=False)
    assert code == 1
    places = [text.index(part) for part in ("0001-full", f"halted: {agenda.halted}\n", "halted; go on with: rayforget")]
    assert places == sorted(places)


def test_a_storage_that_takes_no_report_is_said_and_hides_nothing(tmp_path: Path) -> None:
    agenda = worked_through(tmp_path)
    (tmp_path / "s" / "report").write_text("in the way")
    code, text = closed(agenda, finished=True)
    assert code == 1
    assert "0001-full" in text
    assert f"mended: rayforget frontier s --storage {tmp_path}" in text
    agenda.halted = "OSError: no space"
    code, text = closed(agenda, finished=False)
    assert code == 1
    assert "halted: OSError: no space\n" in text
    assert "--resume s" in text
