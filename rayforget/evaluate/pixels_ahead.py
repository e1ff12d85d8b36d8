"""A stream of batches on the CPU -> the same on the device, read and copied while earlier ones are scored.

On a GPU a thread reads the memory maps into pinned memory, and a stream of its own copies the next batch beside the
present one's products. All models of a pass then work on the one batch that lies on the device.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch

from rayforget.evaluate.pixel_stream import PixelBatch

_AHEAD = 3
"""Batches that are read ahead, into pinned memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copied:
    batch: PixelBatch
    done: torch.cuda.Event | None
    """When the copy is; None if it is done already."""


def on_device(batches: Iterable[PixelBatch], device: torch.device, *, ahead: int | None = None) -> Iterator[PixelBatch]:
    """Every batch in order, with pixels and labels on the device.

    Args:
        batches: on the CPU.
        device: where to score.
        ahead: batches to read ahead; None: some on a GPU, 0 on a CPU, whose cores are busy scoring.

    Raises:
        Exception: what reading a batch raised; the batch before it is then not yielded.
    """
    ahead = (_AHEAD if device.type == "cuda" else 0) if ahead is None else ahead
    if ahead == 0:
        yield from (replace(each, pixels=each.pixels.to(device), labels=each.labels.to(device)) for each in batches)
        return
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
    with ThreadPoolExecutor(1, thread_name_prefix="pixels") as thread:
        waiting = iter(batches)
        reading = deque(thread.submit(_read, waiting, pinned=stream is not None) for _ in range(ahead))
        coming: deque[_Copied] = deque()
        while reading or coming:
            if reading and (batch := reading.popleft().result()) is not None:
                reading.append(thread.submit(_read, waiting, pinned=stream is not None))
                coming.append(_copy(batch, device, stream))
                if len(coming) == 1:
                    continue  # the next one's copy is begun before this one is scored
            elif not coming:
                return
            yield _ready(coming.popleft(), device)


def _read(batches: Iterator[PixelBatch], *, pinned: bool) -> PixelBatch | None:
    batch = next(batches, None)
    if batch is None or not pinned:
        return batch
    return replace(batch, pixels=batch.pixels.pin_memory(), labels=batch.labels.pin_memory())


def _copy(batch: PixelBatch, device: torch.device, stream: torch.cuda.Stream | None) -> _Copied:
    """Starts the copy; the allocator keeps pinned memory until it is done."""
    if stream is None:
        moved = replace(batch, pixels=batch.pixels.to(device), labels=batch.labels.to(device))
        return _Copied(batch=moved, done=None)
    with torch.cuda.stream(stream):
        pixels, labels = (each.to(device, non_blocking=True) for each in (batch.pixels, batch.labels))
        return _Copied(batch=replace(batch, pixels=pixels, labels=labels), done=stream.record_event())


def _ready(copied: _Copied, device: torch.device) -> PixelBatch:
    """Makes the scoring wait for the copy, and the allocator know who uses it."""
    if copied.done is not None:
        current = torch.cuda.current_stream(device)
        current.wait_event(copied.done)
        for tensor in (copied.batch.pixels, copied.batch.labels):
            tensor.record_stream(current)
    return copied.batch
