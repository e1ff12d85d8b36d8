"""What Ctrl-C does while a sweep runs; the caller's own handler is back afterwards."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType


def on_interrupt(handler: Callable[[int, FrameType | None], object]) -> None:
    """Handles Ctrl-C so from now on; does nothing outside the main thread, which alone gets signals."""
    if current_thread() is main_thread():
        signal.signal(signal.SIGINT, handler)


@contextmanager
def interrupts_restored() -> Iterator[None]:
    """Puts the handler of Ctrl-C that was there before back at the end."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        if before is not None and current_thread() is main_thread():  # None: it was not set by Python
            signal.signal(signal.SIGINT, before)
