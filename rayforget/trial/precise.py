"""A scorer -> the same one, run in a precision of `evaluate.precision`."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from rayforget.evaluate.finite import NotFinite, Scored
from rayforget.evaluate.precision import run_in
from rayforget.foundations.protocol import Scorer, State
from rayforget.space.precision import FULL, ScoringPrecision
from rayforget.values.scores import Split


class Precise:
    """A scorer in a precision other than fp32 (implements `Scorer`)."""

    def __init__(self, scorer: Scorer, precision: ScoringPrecision, device: torch.device) -> None:
        self._scorer, self._precision, self._device = scorer, precision, device
        self.tasks: Sequence[str] = scorer.tasks
        self.models_per_pass: int | None = scorer.models_per_pass

    @property
    def identity(self) -> str:
        """The scorer's, and the precision."""
        return f"{self._scorer.identity} {self._precision}"

    @property
    def runs_as(self) -> str:
        """The scorer's: a precision is no matter of the model."""
        return self._scorer.runs_as

    def items_hash(self, split: Split) -> str:
        """The scorer's."""
        return self._scorer.items_hash(split)

    def items_by_task(self, split: Split) -> Mapping[str, str]:
        """The scorer's."""
        return self._scorer.items_by_task(split)

    def facts(self, split: Split) -> Mapping[str, Any]:
        """The scorer's."""
        return self._scorer.facts(split)

    def counted(self, split: Split) -> Mapping[str, Mapping[str, int]]:
        """The scorer's."""
        return self._scorer.counted(split)

    def score(self, thetas: Sequence[State], split: Split) -> Sequence[Scored]:
        """Scores every model in this precision; one whose outputs overflow in fp16 (above 65504) in fp32.

        The precision was found to change next to nothing, and a model that is finite in fp32 is no failed training.
        """
        with run_in(self._precision, self._device):
            found = list(self._scorer.score(thetas, split))
        lost = [i for i, scored in enumerate(found) if isinstance(scored, NotFinite)]
        if self._precision == "fp16" and lost:
            for i, scored in zip(lost, self._scorer.score([thetas[i] for i in lost], split), strict=True):
                found[i] = scored
        return found


def in_precision(scorer: Scorer, precision: ScoringPrecision, device: torch.device) -> Scorer:
    """The scorer in this precision; in fp32 it is itself."""
    return scorer if precision == FULL else Precise(scorer, precision, device)
