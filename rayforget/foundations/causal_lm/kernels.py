"""A model on its device -> the way in which packed sequences attend there: the fastest of those that agree.

Every way is measured on rows of lengths that it has not seen, since that is what trainings give it: a way that builds a
plan for each new shape pays for it here too.
"""

import copy
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from rayforget.determinism import deterministic
from rayforget.foundations.causal_lm.boundaries import Kernel, use_boundaries
from rayforget.foundations.causal_lm.flat import flat_row
from rayforget.foundations.causal_lm.head import CausalHead
from rayforget.foundations.causal_lm.rows import Rows, training_rows

_log = logging.getLogger(__name__)
_UNFIT = (
    *(AssertionError, AttributeError, ImportError, IndexError, KeyError),
    *(NotImplementedError, RuntimeError, TypeError, ValueError),
)
"""What a model, or a kernel, raises where it does not take boundaries."""
_ROUNDS = 2
"""Batches measured, each of other lengths, after one that is not."""
_SEQUENCES = 12
"""Sequences of a batch."""
_TOKENS = 100
"""Of the vocabulary, if it has so many."""
_TIMES, _ROUNDING = 3.0, 1e-4
"""A way agrees if its features and gradients are at most so many times as far from those with dense masks in fp32 as
dense masks are in half precision, plus fp32's own rounding; distances are shares of the whole's length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What became of the attempt to attend in one way."""

    seconds: float | None
    """Forward and backward of all rounds together; None if it does not fit."""
    reason: str | None = None
    """Why it does not fit."""


def choose_kernel(
    head: CausalHead, *, longest: int, dtype: torch.dtype, repeatable: bool, kernels: Sequence[Kernel] = ("varlen",)
) -> tuple[Kernel | None, dict[str, Any]]:
    """The fastest way, None for dense masks, and what was measured of each, as JSON values.

    Args:
        head: the model at theta_0 on its device, in eval mode; left as it was.
        longest: tokens of the longest sequence to measure.
        dtype: autocast's type; fp32 is without.
        repeatable: whether a way must give the same bits twice.
        kernels: those to try beside dense masks.
    """
    tokens = min(_TOKENS, int(head.lm.get_input_embeddings().num_embeddings))  # type: ignore[operator]
    batches = [_sequences(longest, number, tokens) for number in range(_ROUNDS + 1)]
    dense = _Trial(head, None, longest=longest, dtype=dtype, repeatable=repeatable)
    try:
        found = {"dense": Measured(seconds=dense.seconds(batches))}
    except _UNFIT as error:  # out of memory, say
        return None, {"dense": asdict(_unfit(error))}
    for kernel in kernels:
        found[kernel] = _measured(head, kernel, dense, batches)
    fitting: Mapping[str, float] = {name: each.seconds for name, each in found.items() if each.seconds is not None}
    best = min(fitting, key=lambda name: fitting[name])
    _log.info("packed sequences attend by %s: %s", best, found)
    chosen: Kernel | None = best if best in get_args(Kernel) else None  # type: ignore[assignment]
    return chosen, {name: asdict(each) for name, each in found.items()}


def _measured(head: CausalHead, kernel: Kernel, dense: "_Trial", batches: Sequence[list[Any]]) -> Measured:
    try:
        trial = _Trial(head, kernel, longest=dense.longest, dtype=dense.dtype, repeatable=dense.repeatable)
        exact, rounded, own = dense.run(batches[0], exact=True), dense.run(batches[0]), trial.run(batches[0])
        for part, true, near, found in zip(("features", "gradients"), exact, rounded, own, strict=True):
            difference, usual = _distance(found, true), _distance(near, true)
            if not difference <= _TIMES * usual + _ROUNDING:  # NaN too
                return Measured(
                    seconds=None,
                    reason=f"{part} differ by {difference:.1g} from those in fp32, with dense masks by {usual:.1g}",
                )
        if dense.repeatable and not all(map(torch.equal, trial.run(batches[0]), trial.run(batches[0]))):
            return Measured(seconds=None, reason="two runs differ, and resources.deterministic asks for equal ones")
        return Measured(seconds=trial.seconds(batches))
    except _UNFIT as error:
        return _unfit(error)


def _distance(found: Tensor, true: Tensor) -> float:
    return float((found - true).norm() / true.norm())


def _unfit(error: Exception) -> Measured:
    return Measured(seconds=None, reason=f"{type(error).__name__}: {str(error)[:200]}")


class _Trial:
    """One way of attending, on a shallow copy of the model that shares its weights."""

    def __init__(
        self, head: CausalHead, kernel: Kernel | None, *, longest: int, dtype: torch.dtype, repeatable: bool
    ) -> None:
        weights = {id(tensor): tensor for tensor in (*head.lm.parameters(), *head.lm.buffers())}
        lm: Any = copy.deepcopy(head.lm, dict(weights))
        self.longest, self.dtype, self.repeatable, self._flat = longest, dtype, repeatable, kernel is not None
        self._head = CausalHead(lm, head.own)
        self._head.longest = longest
        self._embedding: Tensor = lm.get_input_embeddings().weight
        self._device = self._embedding.device
        if kernel is not None:
            use_boundaries(lm, kernel)

    def run(self, sequences: list[Any], *, exact: bool = False) -> tuple[Tensor, Tensor]:
        """Features of all targets, (t, d), and the gradient of their mean square with regard to the embedding.

        Args:
            sequences: a batch.
            exact: without autocast.
        """
        rows = self._rows(sequences)
        inputs = {"tokens": rows.tokens, "positions": rows.positions, "mask": rows.mask, "boundaries": rows.boundaries}
        given = {name: x.to(self._device) for name, x in (inputs | {"sources": rows.sources}).items() if x is not None}
        enabled = self.dtype != torch.float32 and not exact
        kind = self._device.type
        was = self._embedding.requires_grad
        self._embedding.requires_grad_(True)
        try:
            with torch.enable_grad(), deterministic(self.repeatable):
                with torch.autocast(kind, dtype=self.dtype if enabled else torch.bfloat16, enabled=enabled):
                    features: Tensor = self._head(**given)
                (gradient,) = torch.autograd.grad(features.float().square().mean(), self._embedding)
        finally:
            self._embedding.requires_grad_(was)
        return features.detach().float(), gradient.float()

    def seconds(self, batches: Sequence[list[Any]]) -> float:
        """Time of all batches but the first, which warms up."""
        self.run(batches[0])
        self._wait()
        started = time.perf_counter()
        for sequences in batches[1:]:
            self.run(sequences)
        self._wait()
        return time.perf_counter() - started

    def _rows(self, sequences: list[Any]) -> Rows:
        first = [1] * len(sequences)
        if self._flat:
            return flat_row(sequences, first, longest=self.longest, filler=0)
        return training_rows(sequences, first, packing=True, filler=0)

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def _sequences(longest: int, number: int, tokens: int) -> list[Any]:
    """Sequences of this many tokens' ids; as long in the mean, and as different, as instructions are."""
    rng = np.random.default_rng(number)
    lengths = np.clip(rng.lognormal(np.log(max(2, longest / 4)), 0.6, _SEQUENCES).astype(int), 2, longest)
    return [rng.integers(0, tokens, length).astype(np.int32) for length in lengths]
