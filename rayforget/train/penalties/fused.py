"""A training's weights and a proximal step -> the same step in one kernel, where it is proven to give the same bits.

torch's own operations read and write each weight several times (L1: 40 bytes a weight, EWC: about 100); one kernel
needs 12, or 16 with the Fisher information. A kernel is used on a GPU alone, and only if on numbers of all kinds it
gives the bits of those operations on the same card; everywhere else they are the step.
"""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

_log = logging.getLogger(__name__)
Step = Literal["l1", "ewc"]
Reference = Callable[["list[Tensor]", "list[Tensor]", "list[Tensor]", float], None]
"""(weights, theta_0, further numbers for each weight, tau): the step by torch's operations, in place."""

_CHUNK = 2**15
"""Numbers of a program."""
_BLOCK = 2**10
"""Numbers that it handles at a time."""
_TAUS = (0.0, 1e-6, 0.01, 0.7, 3.0, 1e30)


class Fused:
    """One kernel over all tensors of a training."""

    def __init__(
        self, step: Step, weights: "Sequence[Tensor]", starts: "Sequence[Tensor]", further: "Sequence[Tensor]" = ()
    ) -> None:
        """Makes the tables; nothing is moved yet.

        Args:
            step: which kernel.
            weights: fp32, contiguous, on one device.
            starts: theta_0's, alike.
            further: the Fisher information's, alike, for `ewc`.
        """
        import torch

        from rayforget.train.penalties import fused_kernels

        self._kernel: Any = getattr(fused_kernels, step)
        self._kept = [*weights, *starts, *further]
        if not all(x.dtype == torch.float32 and x.is_contiguous() for x in self._kept):
            raise ValueError("the kernel takes contiguous fp32 tensors")
        if not sum(weight.numel() for weight in weights):
            raise ValueError("there is nothing to move")
        device = weights[0].device
        counts = [weight.numel() for weight in weights]
        firsts = [(tensor, at) for tensor, count in enumerate(counts) for at in range(0, count, _CHUNK)]

        def table(values: list[int]) -> "Tensor":
            return torch.tensor(values, dtype=torch.int64).to(device)

        tables = [
            table([of[tensor].data_ptr() + 4 * at for tensor, at in firsts])
            for of in (weights, starts, further or starts)
        ]
        self._tables = (*tables, table([min(_CHUNK, counts[tensor] - at) for tensor, at in firsts]))
        self._tau = torch.zeros((), dtype=torch.float64, device=device)
        self._size = len(firsts)
        self._where = [each.data_ptr() for each in self._kept]

    def __call__(self, tau: float) -> None:
        """Takes the step, in place."""
        self._tau.fill_(tau)
        self._kernel[(self._size,)](*self._tables, self._tau, block=_BLOCK)

    def fits(self, weights: "Sequence[Tensor]") -> bool:
        """Whether the weights still lie where they did."""
        return [each.data_ptr() for each in weights] == self._where[: len(weights)]


class Proximal:
    """A proximal step over the tensors of one training: by the kernel if that gives the reference's bits, else by the
    reference."""

    def __init__(self, step: Step, reference: Reference) -> None:
        self._step, self._reference = step, reference
        self._fused: Fused | None = None
        self._tried = False

    def take(self, weights: "list[Tensor]", starts: "list[Tensor]", further: "list[Tensor]", tau: float) -> None:
        """Moves the weights, in place; the same tensors each time, which lie where they lay the first time."""
        if not self._tried and weights:
            self._tried, self._fused = True, _fused_if_equal(self._step, self._reference, weights, starts, further)
        if self._fused is not None and self._fused.fits(weights):
            self._fused(tau)
        else:
            self._reference(weights, starts, further, tau)


def _fused_if_equal(
    step: Step, reference: Reference, weights: "list[Tensor]", starts: "list[Tensor]", further: "list[Tensor]"
) -> Fused | None:
    device = weights[0].device
    if device.type != "cuda":
        return None
    try:
        if equals(step, reference, device):
            return Fused(step, weights, starts, further)
        _log.info("%s: Triton's kernel gives other bits than torch's operations, which are used", step)
    except Exception as error:  # compilers for cards, and their own compilers, fail in all manners
        _log.info("%s: no kernel by Triton here (%s: %s)", step, type(error).__name__, error)
    return None


def equals(step: Step, reference: Reference, device: Any) -> bool:
    """Whether kernel and reference give the same bits on numbers of many sizes, equal ones and zeros among them."""
    import torch

    pairs = tried(step, reference, device)
    return all(torch.equal(own.view(torch.int32), other.view(torch.int32)) for own, other in pairs)


def tried(step: Step, reference: Reference, device: Any) -> "list[tuple[Tensor, Tensor]]":
    """What the kernel and the reference make of the same weights, for each of some tau."""
    import torch

    generator = torch.Generator().manual_seed(0)

    def drawn(count: int) -> "Tensor":
        sizes = 10 ** (8 * torch.rand(count, generator=generator) - 7)
        return (torch.randn(count, generator=generator) * sizes).to(device)

    found = []
    for tau in _TAUS:
        starts = [drawn(count) for count in (1, 1025, _CHUNK + 7)]
        weights = [start + drawn(len(start)) for start in starts]
        weights[-1][:100] = starts[-1][:100]
        further = [drawn(len(start)).abs() for start in starts]
        further[-1][50:90] = 0
        own = [weight.clone() for weight in weights]
        Fused(step, own, starts, further if step == "ewc" else ())(tau)
        reference(weights, starts, further, tau)
        found += list(zip(own, weights, strict=True))
    return found
