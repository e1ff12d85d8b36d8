"""Measurements -> the lines in which every benchmark reports them."""

import os
import platform


def print_machine(torch_threads: int | None = None) -> None:
    """Prints the machine on which the figures below were measured, and whether it was busy at the start."""
    load = os.getloadavg()[0]
    threads = "" if torch_threads is None else f", {torch_threads} torch threads"
    print(f"machine: {os.cpu_count()} cores, {platform.system()} {platform.machine()}{threads}")
    busy = "; it is busy, so the figures will be off" if load > 0.5 else ""
    print(f"load over the last minute when this began: {load:.2f}{busy}", flush=True)


def print_target(what: str, value: float, *, at_most: float | None = None, at_least: float | None = None) -> None:
    """Prints one line: a figure, its target (one of the two), and whether it is met."""
    if at_most is not None:
        limit, met = f"at most {at_most:g}", value <= at_most
    elif at_least is not None:
        limit, met = f"at least {at_least:g}", value >= at_least
    else:
        raise ValueError("a target has at_most or at_least")
    print(f"  {what}: {value:.3g}; target: {limit}: {'met' if met else 'missed'}", flush=True)
