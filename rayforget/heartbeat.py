"""Signs of life: long work calls `beat(...)` as it progresses, and the watcher hears them.

A context variable rather than an argument: reading, decoding, tokenising and scoring are many calls deep and must also
work if nobody listens. Beats of threads that a function starts are not heard; beats where their results are collected
are.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Heartbeat = Callable[[str, int, int], None]
"""Called often, with (stage, done, total): the listener must be quick."""

Item = TypeVar("Item")


def _nobody(stage: str, done: int, total: int) -> None:
    """The default listener, which ignores every beat."""


_LISTENER: ContextVar[Heartbeat] = ContextVar("listener", default=_nobody)


@contextmanager
def heard_by(listener: Heartbeat) -> Iterator[None]:
    """Sends every `beat` of this thread to `listener` within the block."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def beat(stage: str, done: int = 0, total: int = 0) -> None:
    """Says that the work goes on.

    Args:
        stage: the work in progress, e.g. `decode tasks.photo.val`.
        done: how much of it is done.
        total: how much there is; 0 if unknown.
    """
    _LISTENER.get()(stage, done, total)


def beating(items: Iterable[Item], stage: str, total: int) -> Iterator[Item]:
    """Yields the items with a beat for each."""
    for done, item in enumerate(items, start=1):
        beat(stage, done, total)
        yield item
