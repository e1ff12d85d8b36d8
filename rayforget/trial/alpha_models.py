"""The two ends of a checkpoint's paths -> the models between them, made where they are scored and proven equal.

On a GPU theta_0's and theta_1's tensors lie on the device while a curve is scored, and each model is made of them
there in fp32: at 1.3 billion weights a lerp takes 0.02 s, making it on the CPU and copying it 1.4 s. A thread makes
each model again on the CPU meanwhile, and their bits are compared by `interpolate.fingerprint`. So what was scored is,
bit for bit, what a later rebuild on any machine gives; a model that is not, is scored again from the CPU's.
"""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rayforget.distributed import all_reduce_sum, any_rank
from rayforget.extensions.use import in_a_line
from rayforget.interpolate.fingerprint import fingerprint
from rayforget.interpolate.paths.path import open_path, theta_at
from rayforget.values.layers import Layer
from rayforget.values.points import Spot

_log = logging.getLogger(__name__)
_SHARE = 0.5
"""Share of a device's free memory that both ends may take."""

Theta = dict[str, Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """The two ends of a checkpoint's paths."""

    theta_0: Mapping[str, Tensor]
    """Holds at least the tensors of `theta_1`."""
    theta_1: Mapping[str, Tensor]
    """The tensors that differ from theta_0; in fp32."""
    layers: Mapping[str, Layer]
    """Where in the model each tensor lies."""

    @property
    def nbytes(self) -> int:
        """Of a model between them: of the tensors that change."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.theta_1.values())


def theta_of(ends: Ends, spot: Spot) -> Theta:
    """The tensors of the spot's model that differ from theta_0; on one device the same bits whenever it is made.

    Raises:
        FoundationError: the path does not fit the model.
    """
    return theta_at(open_path(spot.path), ends.theta_0, ends.theta_1, spot.alpha, ends.layers)


class AlphaModels:
    """Makes models between two ends on the CPU, for a device."""

    def __init__(
        self,
        ends: Ends,
        device: torch.device,
        *,
        distrusted: set[str] | None = None,
        share: float = 1.0,
        there: Callable[[Spot], Theta] | None = None,
    ) -> None:
        """Moves the ends to the device if on every rank they take at most half of its free memory; every rank calls it.

        Args:
            ends: on the CPU.
            device: where models are scored.
            distrusted: paths whose models are made on the CPU, since on the device they came out otherwise; grows.
            share: this process's share of the device, between 0 and 1.
            there: makes models on the device; None makes them as on the CPU, of the ends moved there.
        """
        self.ends, self._device = ends, device
        self._distrusted = set() if distrusted is None else distrusted
        if there is None and device.type != "cpu" and not any_rank(not _fit(ends, device, share), device):
            moved = _moved(ends, device)
            there = lambda spot: theta_of(moved, spot)  # noqa: E731
        self._there = there
        self._proofs: dict[Spot, tuple[Tensor, Future[Tensor]]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="proof") if there is not None else None

    def theta(self, spot: Spot) -> Theta:
        """The spot's model on the device, unproven if it was made there; every rank calls it."""
        if self._there is None or self._thread is None or spot.path in self._distrusted:
            return self.from_cpu(spot)
        made = self._made_there(spot)
        if any_rank(made is None, self._device) or made is None:
            self._distrusted.add(spot.path)
            return self.from_cpu(spot)
        self._proofs[spot] = fingerprint(made), self._thread.submit(self._fingerprint_here, spot)
        return made

    def _made_there(self, spot: Spot) -> Theta | None:
        """The spot's model made on the device; None if its path cannot be walked there, as another package's may not.

        What is wrong with the path itself is raised when its model is made on the CPU.
        """
        assert self._there is not None
        try:
            made = self._there(spot)
        except Exception as error:
            why = in_a_line(error)
            _log.warning("%s: its models are made on the CPU, since on %s: %s", spot.path, self._device, why)
            return None
        if any(tensor.device.type != self._device.type for tensor in made.values()):
            _log.warning("%s: its models are made on the CPU; it leaves some tensors there", spot.path)
            return None
        return made

    def from_cpu(self, spot: Spot) -> Theta:
        """The spot's model, made on the CPU and copied to the device."""
        return {name: tensor.to(self._device) for name, tensor in theta_of(self.ends, spot).items()}

    def disproved(self) -> list[Spot]:
        """Waits for all proofs; the spots whose models were not the CPU's on some rank. Every rank calls it.

        Their paths are made on the CPU from now on.
        """
        proofs, self._proofs = self._proofs, {}
        differ = [not torch.equal(own.cpu(), here.result()) for own, here in proofs.values()]
        if not proofs:
            return []
        on_any = all_reduce_sum(torch.tensor(differ, dtype=torch.float32, device=self._device)).cpu() > 0
        found = [spot for spot, wrong in zip(proofs, on_any.tolist(), strict=True) if wrong]
        for path in dict.fromkeys(spot.path for spot in found):
            _log.warning("%s: models made on the device are not the CPU's to the bit; they are made on the CPU", path)
            self._distrusted.add(path)
        return found

    def _fingerprint_here(self, spot: Spot) -> Tensor:
        return fingerprint(theta_of(self.ends, spot))


def _moved(ends: Ends, device: torch.device) -> Ends:
    theta_0 = {name: ends.theta_0[name].to(device) for name in ends.theta_1 if name in ends.theta_0}
    return replace(ends, theta_0=theta_0, theta_1=_to(ends.theta_1, device))


def _to(state: Mapping[str, Tensor], device: torch.device) -> Theta:
    return {name: tensor.to(device) for name, tensor in state.items()}


def _fit(ends: Ends, device: torch.device, share: float) -> bool:
    return 2 * ends.nbytes <= _SHARE * share * _free_bytes(device)


def _free_bytes(device: torch.device) -> float:
    """What a CUDA device has left, with what torch holds of it and does not use."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
