"""The actor that keeps theta_0's object for a sweep: found by its hash, brought by one worker, read by all.

It lives on the head and owns what it keeps, so that a worker's death loses nothing. If it dies itself, it starts anew
and empty, and the next worker that asks brings the object again. It imports no torch, so that its process stays small.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import ray

from rayforget.on_ray.placement import head_node, only_on

Arrays = Mapping[str, np.ndarray[Any, Any]]
"""Name -> value."""
_BRINGING_S = 60.0
"""How long one worker may take to bring the object before the next one is asked."""


class ThetaKeeper:
    """Keeps one object per key; all methods are called remotely."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}
        self._brought_until: dict[str, float] = {}
        self._changed = asyncio.Condition()

    async def find(self, key: str) -> list[Any]:
        """The reference to the object, in a list; an empty list for the caller that has to bring it."""
        async with self._changed:
            while key not in self._kept:
                left_s = self._brought_until.get(key, 0.0) - time.monotonic()
                if left_s <= 0:
                    self._brought_until[key] = time.monotonic() + _BRINGING_S
                    return []
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), left_s)
            return [self._kept[key]]

    async def keep(self, key: str, arrays: Arrays) -> list[Any]:
        """Keeps a copy of its own and returns the reference to it, in a list."""
        async with self._changed:
            if key not in self._kept:
                self._kept[key] = ray.put(arrays)
            self._changed.notify_all()
            return [self._kept[key]]

    async def forget(self, key: str, found: list[Any]) -> None:
        """Drops an object that could no longer be read."""
        async with self._changed:
            if self._kept.get(key) == found[0]:
                del self._kept[key]
                self._brought_until.pop(key, None)


def start_keeper() -> Any:
    """A keeper on the head; it ends when this process ends or drops the handle."""
    head = head_node(ray.nodes(), ray.get_runtime_context().get_node_id())  # type: ignore[no-untyped-call]
    remote = ray.remote(ThetaKeeper).options(max_restarts=-1, max_task_retries=-1, **only_on(head))
    return remote.remote()
