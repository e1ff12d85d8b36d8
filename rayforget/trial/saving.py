"""A theta_1 whose curve is being scored -> its weights written and its hash made meanwhile, by threads of rank 0.

At 1.3 billion weights the hash takes 4.5 s and the file 2 s or more, during which a GPU scores ten models. Only the
record waits for both, so it never names weights that are not there.
"""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from torch import Tensor

from rayforget.heartbeat import beat
from rayforget.interpolate.hashing import state_hash
from rayforget.record.sweep import Sweep
from rayforget.record.weights import save_weights

_BEAT_EVERY_S = 5.0
T = TypeVar("T")


class Saving:
    """Work on one checkpoint's weights, which must not change until it is finished or dropped."""

    def __init__(
        self, sweep: Sweep, trial: str, step: int, *, theta_1: Mapping[str, Tensor], changed: Mapping[str, Tensor]
    ) -> None:
        """Begins at once.

        Args:
            sweep: where the weights go, unless the checkpoint is recorded: then they are another worker's.
            trial: the trial's name.
            step: optimiser steps taken.
            theta_1: all tensors, for the hash.
            changed: those that are written.
        """
        self._sweep, self._trial, self._step = sweep, trial, step
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="save")
        self._hash: Future[str] = self._threads.submit(state_hash, theta_1)
        self._written: Future[None] = self._threads.submit(self._write, changed)

    def finish(self) -> str:
        """Waits until the weights are written; returns theta_1's hash.

        Raises:
            RecordError, OSError: they could not be written.
        """
        _wait(self._written)
        return _wait(self._hash)

    def drop(self) -> None:
        """Deletes the weights of a checkpoint that will not be recorded; what keeps it from that is left to resuming,
        which deletes weights without a record."""
        with suppress(Exception):
            _wait(self._written)
            if not self._sweep.has(self._trial, self._step):
                self._sweep.drop_weights(self._trial, self._step)

    def _write(self, changed: Mapping[str, Tensor]) -> None:
        if not self._sweep.has(self._trial, self._step):
            save_weights(self._sweep.store, self._trial, self._step, changed)


def _wait(future: Future[T]) -> T:
    while True:
        try:
            return future.result(timeout=_BEAT_EVERY_S)
        except TimeoutError:
            if future.done():  # the work's own
                raise
            beat("save the weights")
