"""How a sweep ends: what is recorded is reported, and the exit code says whether all is done."""

import io
import re
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import golden_text
import pytest
from command_types import Run
from rich.console import Console
from toy_agenda import do_job, toy_agenda

from rayforget.commands.larger_budget import with_budget
from rayforget.commands.sweep import INTERRUPTED, _close, _drive, check_storage, progress_of
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


def close(case: str, agenda: Agenda, *, finished: bool) -> int:
    """The exit code; what is said after the tables is compared with a section."""
    text = io.StringIO()
    code = _close(agenda, Console(file=text, width=200), finished, None)
    tables, rest = re.split(r"^(?=frontier\.png|the report)", text.getvalue(), maxsplit=1, flags=re.M)
    assert "0001-full" in tables
    folder = str(agenda.sweep.store.local.parent)  # type: ignore[union-attr]
    golden_text.check("commands", case, f"(the tables)\n\n{rest}", {folder: "HERE"})
    return code


def test_a_resumed_sweep_may_be_told_that_its_disk_is_shared_and_nothing_else(tmp_path: Path) -> None:
    space = toy_agenda(tmp_path).space
    assert with_budget(space, ["storage.shared=true", "search.trainings=4"]).storage.shared
    assert with_budget(space, ["storage.shared=true"]).model_dump() == {
        **space.model_dump(),
        "storage": {**space.storage.model_dump(), "shared": True},
    }


def test_a_budget_that_a_sweep_cannot_have_is_refused_in_one_line(tmp_path: Path) -> None:
    space = toy_agenda(tmp_path).space
    space = space.model_copy(update={"search": space.search.model_copy(update={"seeds": 2})})
    said = []
    for override in ("storage.path=elsewhere", "search.trainings=25", "search.trainings=1", "search.trainings=²"):
        with pytest.raises(SpaceError) as refused:
            with_budget(space, [override])
        assert len(str(refused.value).splitlines()) == 1
        said.append(f"{override}: {refused.value}")
    golden_text.check("commands", "sweep --resume: what cannot be changed", "\n".join(said))


@pytest.mark.parametrize("how", ["option", "variable", "file"])
def test_a_storage_that_is_given_outdoes_the_file_s_whatever_it_is(
    how: str, run: Run, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders.write_text(folders.read_text() + "storage: {path: elsewhere}\n")
    found: list[str] = []
    monkeypatch.setattr(
        "rayforget.commands.sweep.start_sweep", lambda loaded, **_: found.append(loaded.space.storage.path)
    )
    if how == "variable":
        monkeypatch.setenv("RAYFORGET_STORAGE", "runs")
    run("sweep", folders, *(["--storage", "runs"] if how == "option" else []))
    assert [Path(path).name for path in found] == ["elsewhere" if how == "file" else "runs"]


@pytest.mark.parametrize(("resume", "overrides"), [(True, ()), (False, ("storage.path=s3://b/runs",))])
def test_a_submitted_sweep_that_goes_on_keeps_its_storage_out_of_the_overrides(
    resume: bool, overrides: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(
        "rayforget.commands.submit.submit_sweep", lambda _, **all_: asked.append(all_["overrides"]) or 0
    )
    name = ["--resume", "s"] if resume else []
    assert run("sweep", *name, "--address", "http://h:1", "--storage", "s3://b/runs")[0] == 0
    assert asked == [overrides]


def test_a_shared_disk_and_a_bucket_are_taken_without_asking_the_cluster(tmp_path: Path) -> None:
    space = with_budget(toy_agenda(tmp_path).space, ["storage.shared=true"])
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
        shown.append(progress_of(agenda, named, BaselineErrors(agenda.roles)))
    assert [one.undefined for one in shown] == [False, False]
    assert shown[0].recovered is not None
    for error in (0.0, 1.0):
        progress = progress_of(agenda, named, lambda *_, error=error: (error, error))  # type: ignore[misc, arg-type]
        text = io.StringIO()
        LiveView(Console(file=text, width=200), "s", running=list).show(progress)
        assert ("undefined" in text.getvalue()) == (error > 0)
        assert "recovered" in text.getvalue()


def test_the_last_training_says_that_test_comes_next(tmp_path: Path) -> None:
    agenda = toy_agenda(tmp_path)
    said = []
    while isinstance(named := agenda.next(), NamedJob):
        do_job(agenda, named)
        said.append(progress_of(agenda, named, BaselineErrors(agenda.roles)).last)
    trainings, tests = said[: agenda.num_trainings], said[agenda.num_trainings :]
    assert tests
    assert ["next: " in one for one in said] == [False] * (len(trainings) - 1) + [True] + [False] * len(tests)


def test_a_job_that_halts_the_sweep_is_not_said_to_be_done_and_one_beside_it_is(tmp_path: Path) -> None:
    agenda = toy_agenda(tmp_path, slots=2)
    first, second = agenda.next(), agenda.next()
    assert isinstance(first, NamedJob)
    assert isinstance(second, NamedJob)
    agenda.halt(first.name, f"{first.name}: TaskError: photo/1.png: cannot be read")
    do_job(agenda, second)
    said = [progress_of(agenda, named, BaselineErrors(agenda.roles)).last for named in (first, second)]
    assert said == [f"{first.name} broke off, so the sweep halts", f"{second.name} done"]


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


def test_whatever_ends_a_sweep_what_is_recorded_is_reported_then_what_is_wrong_and_how_to_go_on(
    tmp_path: Path,
) -> None:
    agenda, report = worked_through(tmp_path), tmp_path / "s" / "report"
    assert close("sweep ends: finished", agenda, finished=True) == 0
    assert (report / "frontier.html").is_file()
    assert close("sweep ends: interrupted", agenda, finished=False) == INTERRUPTED
    report.rename(tmp_path / "away")
    report.write_text("in the way")
    assert close("sweep ends: finished, the report cannot be written", agenda, finished=True) == 1
    agenda.halted = "OSError: [Errno 28] No space left on device: [bold]x[/bold]"
    assert close("sweep ends: halted, the report cannot be written", agenda, finished=False) == 1
    report.unlink()
    assert close("sweep ends: halted", agenda, finished=False) == 1


@pytest.mark.parametrize("place", ["run", "report"])
def test_a_ctrl_c_that_nobody_catches_says_how_to_go_on(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    agenda = toy_agenda(tmp_path)
    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setenv("COLUMNS", "300")
    runs = SimpleNamespace(run_sweep=interrupted if place == "run" else lambda *_, **__: False)
    monkeypatch.setitem(sys.modules, "rayforget.on_ray.sweep", runs)  # importing Ray takes seconds
    if place == "report":
        monkeypatch.setattr("rayforget.commands.sweep.report_on", interrupted)
    try:
        code = _drive(agenda.space, agenda.sweep, address=None, verbose=False)
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == INTERRUPTED
    golden_text.check("commands", f"sweep: Ctrl-C in its {place}", capsys.readouterr().out, {str(tmp_path): "HERE"})
