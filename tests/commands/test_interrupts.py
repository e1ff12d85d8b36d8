"""Ctrl-C goes back to whom it was, and a thread beside the main one can run a sweep."""

import signal
from concurrent.futures import ThreadPoolExecutor

from rayforget.commands.interrupts import interrupts_restored, on_interrupt


def test_the_callers_handler_is_back_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupts_restored():
        on_interrupt(handler)
        assert signal.getsignal(signal.SIGINT) is handler
    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_leaves_it_alone() -> None:
    before = signal.getsignal(signal.SIGINT)

    def run() -> None:
        with interrupts_restored():
            on_interrupt(handler)

    with ThreadPoolExecutor(1) as threads:
        threads.submit(run).result()
    assert signal.getsignal(signal.SIGINT) is before


def handler(*_: object) -> None:
    """Hears a signal."""
