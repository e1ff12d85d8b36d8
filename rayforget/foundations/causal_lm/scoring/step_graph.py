"""A step of fixed shapes -> the same step, on a GPU captured once as a graph and replayed.

A step of one token launches some ten kernels a layer, and the processor that launches them takes longer than the GPU
that runs them; a graph is one launch. Its kernels read and write the memory that they were captured with, so a step
keeps its state in tensors that it changes in place. It is captured anew for each batch: the capture should cost about
as much as one step, and no weights have to be copied to a fixed place. When the batch is done nothing stays on the
device but the memory of one step's intermediate results, which the next capture takes over.
"""

from collections.abc import Callable
from functools import cache

import torch

_WARM_UP = 3
"""Steps before the capture, which set up what may not be set up within one (cuBLAS's memory, kernels loaded late)."""


_LAST: dict[torch.device, torch.cuda.CUDAGraph] = {}
"""The graph captured last; it is not replayed once there is a next one, which shares its memory."""


class CaptureError(Exception):
    """A step waits for the device, or does something else that a graph cannot hold; nothing of it has run."""


def repeated(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """The step as it is run fastest again and again on this device.

    Args:
        step: takes and returns nothing; all of its tensors keep their place from call to call.
        device: where they are.
    """
    return _Captured(step, device) if device.type == "cuda" else step


class _Captured:
    """Takes the first steps plainly, on a stream of its own, then captures one and replays it.

    Raises:
        CaptureError: when called; the steps before have run.
    """

    def __init__(self, step: Callable[[], None], device: torch.device) -> None:
        self._step, self._device, self._taken = step, device, 0
        self._stream = _stream_of(device)
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        if self._graph is None and self._taken < _WARM_UP:
            self._taken += 1
            self._beside(self._step)
            return
        if self._graph is None:
            graph = torch.cuda.CUDAGraph()
            self._beside(lambda: self._capture(graph))
            self._graph = _LAST[self._device] = graph
        self._graph.replay()

    def _beside(self, work: Callable[[], None]) -> None:
        """Runs work on the stream, after all before and before all that follows."""
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            work()
        torch.cuda.current_stream(self._device).wait_stream(self._stream)

    def _capture(self, graph: torch.cuda.CUDAGraph) -> None:
        """Captures the step without running it; unlike `torch.cuda.graph` the allocator keeps its memory."""
        last = _LAST.get(self._device)
        pool = None if last is None else last.pool()
        try:
            graph.capture_begin(pool, capture_error_mode="thread_local")  # other threads may use the device meanwhile
            try:
                self._step()
            finally:
                graph.capture_end()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise CaptureError(f"{type(error).__name__}: {error}") from error


@cache
def _stream_of(device: torch.device) -> torch.cuda.Stream:
    """One for all captures, since a stream's memory is not shared with other streams."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
