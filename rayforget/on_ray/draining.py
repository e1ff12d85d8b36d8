"""Asks Ray whether it is told that a node will go: a spot machine is taken away, or somebody drains it."""

import time
from collections.abc import Callable

_EVERY_S = 1.0


def draining(nodes: frozenset[str]) -> Callable[[], bool]:
    """A notice for `told_by`: whether one of these nodes (hex ids) drains; the cluster is asked once a second at most.

    What Ray Train's own watcher asks. `ray.train.get_preemption_info` tells the same, but all ranks must call it at
    the same step and wait for each other, while rank 0 decides alone when a training is saved.
    """
    from ray._private.state import state

    last, known = float("-inf"), False

    def notice() -> bool:
        nonlocal last, known
        if not known and time.monotonic() - last >= _EVERY_S:
            last, known = time.monotonic(), not nodes.isdisjoint(state.get_draining_nodes())
        return known

    return notice
