"""What Ray itself says while a sweep runs -> one line of ours for each event; Ray's own text goes to a file.

Ray prints paragraphs of its raylets and tracebacks of Tune where a person watches the sweep, also for what the sweep
takes in its stride: a worker that died, a host that is gone.
"""

import logging
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

logger = logging.getLogger(__name__)

_AGAIN_S = 60.0
"""How long an equal line is not said again."""
_LONGEST = 160
_WORDS: Mapping[str, str] = {
    r"address: (\S+?) .*marked dead": "node {} does not answer and counts as dead: what it trained goes on elsewhere",
    r"killed due to memory pressure|node running low on memory": "a node ran out of memory and ended a process",
    r"A worker died or was killed.*Worker IP address: (\S+)": "a process on node {} died: what it did is done again",
    r"Trial task failed": "a slot's own process died: the slot is started again",
    r"worker processes have been started": "",
    r"Trials did not complete": "",  # what was lost is handed out again, or halts the sweep
}
"""What a text of Ray's has in it -> ours; empty: nothing that a person needs to know."""


def in_a_line(text: str) -> str:
    """One line for people; empty if there is nothing that they need to know."""
    for pattern, words in _WORDS.items():
        if found := re.search(pattern, text, re.DOTALL):
            return words.format(*found.groups())
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return f"Ray says: {first[:_LONGEST]}{'…' if len(first) > _LONGEST else ''}" if first else ""


class Messages:
    """Keeps Ray's texts in a file of this process's user, made with the first of them."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """
        Args:
            tell: called with each line for people.
        """
        self._tell = tell
        self._path: str | None = None
        self._told: dict[str, float] = {}
        self._lock = threading.Lock()

    def take(self, text: str) -> None:
        """Writes a text of Ray's down, and tells its line unless it was just told."""
        with self._lock:
            path = self._written(text)
            line, now = in_a_line(text), time.monotonic()
            if not line or now - self._told.get(line, -_AGAIN_S) < _AGAIN_S:
                return
            self._told[line] = now
        self._tell(f"{line} (what Ray says: {path})" if len(self._told) == 1 else line)

    def _written(self, text: str) -> str:
        if self._path is None:
            descriptor, self._path = tempfile.mkstemp(prefix="rayforget-ray-", suffix=".log")
            os.close(descriptor)
        with open(self._path, "a", encoding="utf-8", errors="replace") as file:
            file.write(f"{time.strftime('%F %T')} {text.rstrip()}\n")
        return self._path


class _Handler(logging.Handler):
    def __init__(self, messages: Messages) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.take(logging.Formatter("%(message)s").format(record))


@contextmanager
def in_our_words(messages: Messages) -> Iterator[None]:
    """Within the block Ray's Python log and its raylets' paragraphs are taken by `messages` instead of printed."""
    from ray._private import worker

    theirs = logging.getLogger("ray")
    handlers, printed = theirs.handlers[:], worker.print_to_stdstream
    handler = _Handler(messages)

    def take(data: Mapping[str, Any], ignore_prefix: bool = False) -> None:
        messages.take("\n".join(data["lines"]))

    theirs.handlers[:] = [handler]
    worker.print_to_stdstream = take
    try:
        yield
    finally:
        theirs.handlers[:] = handlers
        worker.print_to_stdstream = printed
