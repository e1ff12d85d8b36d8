"""Some repetitions of a piece of work -> its kernels, the device's idle share, host time, synchronisations."""

import time
from collections.abc import Callable
from typing import Any

import torch
from gpu_run import Run, mean_seconds
from lm_peers import synchronise
from torch.profiler import ProfilerActivity, profile

_TOP = 8


def profile_work(run: Run, what: str, work: Callable[[], Any], *, times: int = 2, warm: int = 1) -> None:
    """Prints the top kernels and the figures of one repetition.

    The idle share compares the kernels' own time under the profiler with the time of the same work without it, since
    the profiler slows the host.
    """
    plain_s = mean_seconds(work, times=times, warm=warm)
    on_gpu = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as found:
        began = time.perf_counter()
        for _ in range(times):
            work()
        host_s = (time.perf_counter() - began) / times
        synchronise()
    events = found.events()
    order = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    sums = [event for event in found.key_averages() if not getattr(event, "is_user_annotation", False)]
    top = sorted(sums, key=lambda event: -float(getattr(event, order)))[:_TOP]
    whole = sum(float(getattr(event, order)) for event in sums) or 1.0
    print(f"{run.part}: {what}, the {'kernels' if on_gpu else 'operators'} that take longest:")
    for event in top:
        took = float(getattr(event, order))
        share, each = 100 * took / whole, took / 1e3 / times
        print(f"  {share:5.1f} %  {each:9.2f} ms  {event.count // times:6d} x  {event.key[:90]}", flush=True)
    run.row(f"{what}: host time under the profiler", host_s, "s")
    syncs = sum("Synchronize" in event.name for event in events)  # of which the one at the end is ours
    if on_gpu:
        on_device = [event.time_range for event in events if _is_kernel(event)]
        busy = covered([(each.start, each.end) for each in on_device]) / 1e6 / times
        if on_device:
            run.row(f"{what}: the GPU's idle share", max(0.0, 1 - busy / plain_s), "")
        else:
            print(f"{what}: the profiler saw no kernels (may this container use CUPTI?)", flush=True)
        copies = sum(event.name.startswith("Memcpy HtoD") for event in events) / times
        run.row(f"{what}: copies to the device", copies, "each time")
    run.row(f"{what}: synchronisations", max(0, syncs - 1) / times, "each time")


def _is_kernel(event: Any) -> bool:
    """Whether it is work of the device, and no range that somebody named."""
    on_device = str(event.device_type).endswith("CUDA")
    return on_device and not getattr(event, "is_user_annotation", False)


def covered(ranges: list[tuple[float, float]]) -> float:
    """The length covered by intervals that may overlap."""
    covered, until = 0.0, float("-inf")
    for start, end in sorted(ranges):
        covered += max(0.0, end - max(start, until))
        until = max(until, end)
    return covered
