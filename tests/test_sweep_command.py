"""How a sweep ends: what is recorded is reported, and the exit code says whether all is done."""

import io
import signal
from pathlib import Path

import pytest
from rich.console import Console
from toy_agenda import do_job, toy_agenda

from rayforget.commands.sweep import INTERRUPTED, _close, _drive, _progress, _with_budget, check_storage
from rayforget.errors import SpaceError
from rayforget.frontier.baseline_errors import BaselineErrors
from rayforget.report.terminal.live import LiveView
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


def test_a_resumed_sweep_may_be_told_that_its_disk_is_shared_and_nothing_else(tmp_path: Path) -> None:
    space = toy_agenda(tmp_path).space
    assert _with_budget(space, ["storage.shared=true", "search.trainings=4"]).storage.shared
    assert _with_budget(space, ["storage.shared=true"]).model_dump() == {
        **space.model_dump(),
        "storage": {**space.storage.model_dump(), "shared": True},
    }
    with pytest.raises(SpaceError, match="only a larger search"):
        _with_budget(space, ["storage.path=elsewhere"])


@pytest.mark.parametrize(
    ("trainings", "message"),
    [
        ("25", r"cannot have 25 trainings: search.trainings: found 25 with seeds: 2.* write 26"),
        ("²", "--trials ² is not more"),
    ],
)
def test_a_budget_that_a_sweep_cannot_have_is_refused_in_one_line(trainings: str, message: str, tmp_path: Path) -> None:
    space = toy_agenda(tmp_path).space
    space = space.model_copy(update={"search": space.search.model_copy(update={"seeds": 2})})
    with pytest.raises(SpaceError, match=message):
        _with_budget(space, [f"search.trainings={trainings}"])


def test_a_shared_disk_and_a_bucket_are_taken_without_asking_the_cluster(tmp_path: Path) -> None:
    space = _with_budget(toy_agenda(tmp_path).space, ["storage.shared=true"])
    check_storage(space, "203.0.113.1:1")  # nobody answers there
    bucket = space.storage.model_copy(update={"path": "s3://b/runs", "shared": False})
    check_storage(space.model_copy(update={"storage": bucket}), "203.0.113.1:1")


def test_what_is_recovered_so_far_is_undefined_while_the_baselines_lie_within_error(tmp_path: Path) -> None:
    agenda = toy_agenda(tmp_path)
    shown = []
    for _ in range(2):
        named = agenda.next()
        assert isinstance(named, NamedJob)
        do_job(agenda, named)
        shown.append(_progress(agenda, named, BaselineErrors(agenda.roles)))
    assert [one.undefined for one in shown] == [False, False]
    assert shown[0].recovered is not None
    for error in (0.0, 1.0):
        progress = _progress(agenda, named, lambda *_, error=error: (error, error))  # type: ignore[misc, arg-type]
        text = io.StringIO()
        LiveView(Console(file=text, width=200), "s", running=list).show(progress)
        assert ("undefined" in text.getvalue()) == (error > 0)
        assert "recovered" in text.getvalue()


def test_the_last_training_says_that_test_comes_next(tmp_path: Path) -> None:
    agenda = toy_agenda(tmp_path)
    said = []
    while isinstance(named := agenda.next(), NamedJob):
        do_job(agenda, named)
        said.append(_progress(agenda, named, BaselineErrors(agenda.roles)).last)
    trainings, tests = said[: agenda.num_trainings], said[agenda.num_trainings :]
    assert tests
    assert ["next: " in one for one in said] == [False] * (len(trainings) - 1) + [True] + [False] * len(tests)


def test_a_sweep_with_nothing_left_is_known_to_be_finished(tmp_path: Path) -> None:
    agenda = toy_agenda(tmp_path)
    assert not agenda.settle()
    while isinstance(named := agenda.next(), NamedJob):
        assert not agenda.settle()
        do_job(agenda, named)
    assert agenda.settle()
    resumed = Agenda(agenda.space, agenda.sweep, agenda.study)
    assert not resumed.finished
    assert resumed.settle()


def test_a_finished_sweep_is_reported_and_zero(tmp_path: Path) -> None:
    code, text = closed(worked_through(tmp_path), finished=True)
    assert code == 0
    assert "0001-full" in text
    assert (tmp_path / "s" / "report" / "frontier.html").is_file()


def test_an_interrupted_sweep_says_how_to_go_on(tmp_path: Path) -> None:
    code, text = closed(worked_through(tmp_path), finished=False)
    assert code == INTERRUPTED
    assert f"interrupted; go on with: rayforget sweep --resume s --storage {tmp_path}" in text


@pytest.mark.parametrize("place", ["run", "report"])
def test_a_ctrl_c_that_nobody_catches_says_how_to_go_on(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    agenda = toy_agenda(tmp_path)
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr("rayforget.on_ray.sweep.run_sweep", interrupted if place == "run" else lambda *_, **__: False)
    if place == "report":
        monkeypatch.setattr("rayforget.commands.sweep._report", interrupted)
    try:
        code = _drive(agenda.space, agenda.sweep, address=None, verbose=False)
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == INTERRUPTED
    out = capsys.readouterr().out
    assert f"interrupted; go on with: rayforget sweep --resume s --storage {tmp_path}" in out
    assert ("no frontier yet" in out) == (place == "run")


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
