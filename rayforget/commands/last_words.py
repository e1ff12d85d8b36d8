"""A text that is said if this process dies: Ray ends its driver, without an error, when its own server is lost."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

_SAY_AT_END_OF_PIPE = 'read -r _ || printf "\\n%s\\n" "$RAYFORGET_LAST_WORDS" >&2'


@contextmanager
def last_words(text: str) -> Iterator[None]:
    """Says the text on standard error if the process is gone before the block ends, by whatever signal or exit.

    A shell waits for the end of a pipe that only this process holds open; leaving the block sends it a line instead.
    """
    waiting = subprocess.Popen(
        ["/bin/sh", "-c", _SAY_AT_END_OF_PIPE],
        env={**os.environ, "RAYFORGET_LAST_WORDS": text},  # all users can read a process's arguments
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C is for this process alone
    )
    try:
        yield
    finally:
        waiting.communicate(b"\n")
