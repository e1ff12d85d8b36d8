"""Hears a Ctrl-C while Tune runs at once, before Tune takes the seconds that it needs to end its actors."""

import signal
import threading
from collections.abc import Callable
from types import FrameType


def hear_first(heard: Callable[[], None]) -> None:
    """Calls `heard` before the currently installed handler of SIGINT; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return
    installed = signal.getsignal(signal.SIGINT)

    def hear(number: int, frame: FrameType | None) -> None:
        heard()
        if callable(installed):
            installed(number, frame)

    signal.signal(signal.SIGINT, hear)
