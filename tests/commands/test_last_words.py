"""What is said when a process is gone without a word."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from rayforget.commands.last_words import last_words


@pytest.mark.parametrize("end", [lambda: os.kill(os.getpid(), signal.SIGKILL), lambda: os._exit(1)])
def test_a_process_that_dies_has_last_words(end: Callable[[], None], capfd: pytest.CaptureFixture[str]) -> None:
    child = os.fork()
    if child == 0:
        with last_words("go on with: rayforget sweep --resume $(echo one) %s"):
            end()
    os.waitpid(child, 0)
    said, until = "", time.monotonic() + 30
    while not said and time.monotonic() < until:
        said += capfd.readouterr().err
        time.sleep(0.01)
    assert said == "\ngo on with: rayforget sweep --resume $(echo one) %s\n"


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, OSError])
def test_one_that_ends_by_itself_has_none(error: type[BaseException] | None, capfd: pytest.CaptureFixture[str]) -> None:
    with suppress(KeyboardInterrupt, OSError), last_words("go on"):
        if error is not None:
            raise error
    assert capfd.readouterr().err == ""
