"""A lock among the processes of one node; the system releases it when its holder dies, so none goes stale."""

import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rayforget.heartbeat import beat

logger = logging.getLogger(__name__)

POLL_S = 0.1


@contextmanager
def node_lock(path: Path, what: str) -> Iterator[bool]:
    """Holds the lock file while the block runs; others wait.

    Args:
        path: the lock file, created if missing and never removed (removal would let two holders in).
        what: what the holder does, for the log.

    Yields:
        Whether the lock is held; False on file systems without locks, where the block runs anyway.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        held = _acquire(file.fileno(), what)
        try:
            yield held
        finally:
            if held:
                fcntl.flock(file, fcntl.LOCK_UN)


def _acquire(descriptor: int, what: str) -> bool:
    waiting = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if not waiting:
                logger.info("waiting for another process of this node: %s", what)
                waiting = True
            beat(f"wait for another process: {what}")  # if that one hangs, its own watchdog ends it
            time.sleep(POLL_S)
        except OSError as error:
            logger.warning("no file locks here (%s); %s may be done by several processes at once", error, what)
            return False
