"""What a sweep shows while it runs."""

import ast
import io
import re
import signal
from collections.abc import Callable
from pathlib import Path

import golden_text
import pytest
from rich.console import Console
from rich.table import Table
from summaries import printed

import rayforget
from rayforget.frontier.points import FrontierPoint
from rayforget.report.terminal import live
from rayforget.report.terminal.live import LiveView, Progress

PACKAGE = Path(rayforget.__file__).parent
POINT = FrontierPoint(
    trial="0003-l2", method="l2", step=10, fraction=1.0, alpha=0.375, coarse=True, speciality=0.7, generality=0.65
)


def progress(done: int) -> Progress:
    return Progress(done=done, failed=0, total=19, recovered=0.5, frontier=[POINT], last=f"training {done} done")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])

    def go_on(seconds: float) -> None:
        now[0] += seconds

    return go_on


def test_trainings_that_end_together_say_nothing_of_the_pace_and_the_last_leaves_nothing_to_expect(
    clock: Callable[[float], None],
) -> None:
    text = io.StringIO()
    view = LiveView(Console(file=text, width=200), "s", running=lambda: ["the other one"])
    # The first two of them, then two in 14 s, in which three have ended: 16 and 15 remain.
    for seconds, done in ((60, 1), (0, 2), (14, 3), (0, 4), (5, 10), (5, 19)):
        clock(seconds)
        view.show(progress(done))
    golden_text.check("reports", "live: lines of a sweep that works on two at a time", text.getvalue())


def test_a_terminal_shows_what_runs_and_the_best_points(clock: Callable[[float], None]) -> None:
    text = io.StringIO()
    view = LiveView(Console(file=text, width=120, force_terminal=True), "my sweep", running=lambda: ["0004-kd"])
    frames = [printed(view._render(), 120)]
    with view:
        view.show(progress(4))
        frames.append(printed(view._render(), 120))
        clock(30)
        view.show(progress(6))
        frames.append(printed(view._render(), 120))
    assert "6/19 done" in text.getvalue()
    golden_text.check("reports", "live: a terminal at its start, after 4 trainings and after 6", "\n".join(frames))


def test_an_interrupt_is_heard_at_once() -> None:
    text = io.StringIO()
    view = LiveView(Console(file=text, width=120, force_terminal=True), "my sweep", running=lambda: ["0004-kd"])
    with view:
        view.show(progress(4))
        with pytest.raises(KeyboardInterrupt):
            view.interrupt(signal.SIGINT, None)
        view.stopping()
    assert "stopping; what is finished is recorded" in text.getvalue()


FROM_ELSEWHERE = "[/__w/pytorch/gloo/pair.cc:552] Connection closed by peer [red]127.0.0.1[/] :x: \\[bold]"
"""What an error, a path or a name may hold: for rich a closing tag of nothing, a colour and a picture."""


@pytest.mark.parametrize("terminal", [True, False])
def test_text_from_elsewhere_is_printed_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("FORCE_COLOR" if terminal else "NO_COLOR", "1")
    console = live.open_console()
    assert console.is_terminal == terminal
    view = LiveView(console, FROM_ELSEWHERE, running=lambda: [FROM_ELSEWHERE])
    with view:
        view.note(FROM_ELSEWHERE)
        view.warn(FROM_ELSEWHERE)
        view.show(Progress(done=1, failed=1, total=2, recovered=None, frontier=[POINT], last=FROM_ELSEWHERE))
        console.print(view._render())
    table = Table(FROM_ELSEWHERE)
    table.add_row(FROM_ELSEWHERE)
    console.print(table)
    console.print(FROM_ELSEWHERE, style="red")
    printed = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", capsys.readouterr().out)
    assert printed.count(FROM_ELSEWHERE) >= 7


def test_there_is_one_way_to_a_console() -> None:
    """A console made elsewhere would read markup in what it prints."""
    makers = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("Console", "PlainConsole")
    ]
    assert makers
    assert {maker.split(":")[0] for maker in makers} == {"report/terminal/live.py"}
