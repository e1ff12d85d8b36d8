"""What a sweep shows while it runs."""

import io
import signal
from collections.abc import Callable

import pytest
from rich.console import Console

from rayforget.frontier.points import FrontierPoint
from rayforget.report import live
from rayforget.report.live import LiveView, Progress

POINT = FrontierPoint(
    trial="0003-l2", method="l2", step=10, fraction=1.0, alpha=0.375, coarse=True, speciality=0.7, generality=0.65
)


def progress(done: int) -> Progress:
    return Progress(done=done, failed=0, in_all=19, recovered=0.5, frontier=[POINT], last=f"training {done} done")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [0.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])

    def go_on(seconds: float) -> None:
        now[0] += seconds

    return go_on


def test_trainings_that_end_together_say_nothing_of_the_pace(clock: Callable[[float], None]) -> None:
    text = io.StringIO()
    view = LiveView(Console(file=text, width=200), "s", running=lambda: ["the other one"])
    for seconds, done in ((60, 1), (0, 2), (14, 3), (0, 4)):
        clock(seconds)
        view.show(progress(done))
    first, second, third, fourth = text.getvalue().splitlines()
    assert "ETA" not in first + second
    # Two of them in 14 s, then three: 16 and 15 remain.
    assert third.endswith("ETA 1:52")
    assert fourth.endswith("ETA 1:10")


def test_nothing_is_expected_once_all_trainings_are_done(clock: Callable[[float], None]) -> None:
    text = io.StringIO()
    view = LiveView(Console(file=text, width=200), "s", running=list)
    for done in (1, 10, 19):
        clock(5)
        view.show(progress(done))
    assert ["ETA" in line for line in text.getvalue().splitlines()] == [False, True, False]


def test_a_terminal_shows_what_runs_and_the_best_points(clock: Callable[[float], None]) -> None:
    text = io.StringIO()
    view = LiveView(Console(file=text, width=120, force_terminal=True), "my sweep", running=lambda: ["0004-kd"])
    with view:
        view.show(progress(4))
        clock(30)
        view.show(progress(6))
    shown = text.getvalue()
    for part in ("my sweep", "6/19 done", "1 running", "running: 0004-kd", "recovered so far 0.50", "0003-l2", "0.375"):
        assert part in shown
    assert "ETA 3:15" in shown


def test_an_interrupt_is_heard_at_once() -> None:
    text = io.StringIO()
    view = LiveView(Console(file=text, width=120, force_terminal=True), "my sweep", running=lambda: ["0004-kd"])
    with view:
        view.show(progress(4))
        with pytest.raises(KeyboardInterrupt):
            view.interrupt(signal.SIGINT, None)
        view.stopping()
    assert "stopping; what is finished is recorded" in text.getvalue()
