"""Another package's penalties that pull at nothing: one takes time, one does what no training should."""

import time
from pathlib import Path
from typing import Literal

from rayforget.space.penalty import Needs
from rayforget.train.penalties.hooks import Hooks, Penalty, Training


class PacePenalty(Penalty):
    """Every step waits as many seconds as a file says, not at all once the file is gone."""

    kind: Literal["pace"]
    file: str

    def needs(self, *, lora: bool) -> Needs:
        return Needs()

    def prepare(self, training: Training) -> Hooks:
        return _Waiting(Path(self.file))


class _Waiting(Hooks):
    def __init__(self, file: Path) -> None:
        self._file = file

    def after_step(self, learning_rate: float) -> None:
        start = time.monotonic()
        while time.monotonic() < start + self._seconds():
            time.sleep(0.02)

    def _seconds(self) -> float:
        try:
            return float(self._file.read_text())
        except FileNotFoundError:
            return 0.0


class IllPenalty(Penalty):
    """The third step makes a weight NaN, never ends, or takes all memory there is."""

    kind: Literal["ill"]
    does: Literal["nan", "hang", "hog"]

    def needs(self, *, lora: bool) -> Needs:
        return Needs()

    def prepare(self, training: Training) -> Hooks:
        return _Falling(self.does, training)


class _Falling(Hooks):
    def __init__(self, does: str, training: Training) -> None:
        self._does, self._weights, self._step = does, training.weights, 0

    def after_step(self, learning_rate: float) -> None:
        self._step += 1
        if self._step < 3:
            return
        if self._does == "nan":
            next(iter(self._weights.values())).fill_(float("nan"))
        hoard = []
        while self._does == "hang":
            time.sleep(1)
        while self._does == "hog":
            hoard.append(bytearray(b"x") * 2**26)
            time.sleep(0.02)
