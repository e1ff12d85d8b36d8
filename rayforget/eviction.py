"""Notice that this process's host goes soon: a training saves at once and ends, to go on elsewhere.

A context variable, as for signs of life (`heartbeat`): training knows nothing of clusters and works if nobody asks.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rayforget.errors import RayforgetError

_ASKED: ContextVar[Callable[[], bool]] = ContextVar("asked", default=lambda: False)


class EvictedError(RayforgetError):
    """A training was saved and ended because a host of it goes; it says nothing about the training."""


@contextmanager
def told_by(notice: Callable[[], bool]) -> Iterator[None]:
    """Within the block trainings of this thread ask `notice` after every step, on rank 0; it must be quick."""
    token = _ASKED.set(notice)
    try:
        yield
    finally:
        _ASKED.reset(token)


def must_go() -> bool:
    """Whether a host of this training goes soon."""
    return _ASKED.get()()
