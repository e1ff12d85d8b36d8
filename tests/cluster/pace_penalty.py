"""Another package's penalty that pulls at nothing and takes time: a training lasts, and needs no CPU for it."""

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
