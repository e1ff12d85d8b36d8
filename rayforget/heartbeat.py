"""Signs of life: whatever takes long says `beat(...)` as it goes on, and whoever watches over it hears that.

A context rather than an argument: reading, decoding, tokenising and scoring are many calls deep, and all of them are as
useful where nobody listens. Threads that a function starts are not heard; their results are, where they are collected.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Heartbeat = Callable[[str, int, int], None]
"""Called with (stage, done, in all), often: it is for the listener to be quick about it."""

Item = TypeVar("Item")


def _nobody(stage: str, done: int, total: int) -> None:
    """Nobody listens."""


_LISTENER: ContextVar[Heartbeat] = ContextVar("listener", default=_nobody)


@contextmanager
def heard_by(listener: Heartbeat) -> Iterator[None]:
    """Within, every `beat` of this thread goes to `listener`."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def beat(stage: str, done: int = 0, total: int = 0) -> None:
    """Says that the work goes on.

    Args:
        stage: what is done: `decode tasks.photo.val`.
        done: how much of it.
        total: of how much; 0 where that is not known.
    """
    _LISTENER.get()(stage, done, total)


def beating(items: Iterable[Item], stage: str, total: int) -> Iterator[Item]:
    """The items, with a beat for each one that was asked for."""
    for done, item in enumerate(items, start=1):
        beat(stage, done, total)
        yield item
