"""A Ctrl-C during `Tuner.fit` -> heard at once, before Tune takes the seconds that it needs to end its actors."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from ray.tune import Callback


class Interrupts(Callback):
    """Puts itself before the handler that Tune installs when it begins."""

    def __init__(self, heard: Callable[[], None]) -> None:
        self._heard: Callable[[], None] | None = heard

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """In the driver's main thread, once."""
        heard, self._heard = self._heard, None
        if heard is None:
            return
        tunes = signal.getsignal(signal.SIGINT)

        def hear(number: int, frame: FrameType | None) -> None:
            heard()
            if callable(tunes):
                tunes(number, frame)

        signal.signal(signal.SIGINT, hear)
