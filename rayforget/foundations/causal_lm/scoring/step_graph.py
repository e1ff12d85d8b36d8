"""A step of fixed shapes -> the same step, on a GPU captured once as a graph and replayed.

A step of one token launches some ten kernels a layer, and the processor that launches them takes longer than the GPU
that runs them; a graph is one launch. Its kernels read and write the memory that they were captured with, so a step
keeps its state in tensors that it changes in place. It is captured anew for each batch: the capture costs about as much
as one step, no weights have to be copied to a fixed place, and nothing stays on the device when the batch is done.
"""

from collections.abc import Callable

import torch

_WARM_UP = 3
"""Steps before the capture, which set up what may not be set up within one (cuBLAS's memory, kernels loaded late)."""


class CaptureError(Exception):
    """A step waits for the device, or does something else that a graph cannot hold; nothing of it has run."""


def repeated(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """The step as it is run fastest again and again on this device.

    Args:
        step: takes and returns nothing; all of its tensors keep their place from call to call.
        device: where they are.
    """
    return _Captured(step) if device.type == "cuda" else step


class _Captured:
    """Takes the first steps plainly, on a stream of its own, then captures one and replays it.

    Raises:
        CaptureError: when called; the steps before have run.
    """

    def __init__(self, step: Callable[[], None]) -> None:
        self._step, self._taken = step, 0
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        if self._graph is None and self._taken < _WARM_UP:
            self._taken += 1
            self._beside(self._step)
            return
        if self._graph is None:
            graph = torch.cuda.CUDAGraph()
            self._beside(lambda: self._capture(graph))
            self._graph = graph
        self._graph.replay()

    def _beside(self, work: Callable[[], None]) -> None:
        """Runs work on the stream, after all before and before all that follows."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            work()
        torch.cuda.current_stream().wait_stream(self._stream)

    def _capture(self, graph: torch.cuda.CUDAGraph) -> None:
        """Captures the step without running it; unlike `torch.cuda.graph` the allocator keeps its memory."""
        try:
            graph.capture_begin(capture_error_mode="thread_local")  # other threads may use the device meanwhile
            try:
                self._step()
            finally:
                graph.capture_end()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise CaptureError(f"{type(error).__name__}: {error}") from error
