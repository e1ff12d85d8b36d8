"""Processes whose memory the kernel bounds: what takes more is killed by it."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_GROUPS = Path("/sys/fs/cgroup")


@contextmanager
def memory_limit(limit: int, processes: Callable[[], Iterable[psutil.Process]]) -> Iterator[None]:
    """Every process that `processes` finds while the block runs may take `limit` bytes more than it has by then.

    Raises:
        OSError: this machine has no control groups of memory, or not for us.
    """
    first = (_GROUPS / "memory").is_dir()
    root, bound = (_GROUPS / "memory", "memory.limit_in_bytes") if first else (_GROUPS, "memory.max")
    groups: dict[int, Path] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            for process in processes():
                if process.pid not in groups:
                    group = groups[process.pid] = root / f"rf-limited-{process.pid}"
                    group.mkdir(exist_ok=True)
                    (group / bound).write_text(str(limit))
                    with suppress(OSError):  # gone already
                        (group / "cgroup.procs").write_text(str(process.pid))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
        for group in groups.values():
            with suppress(OSError):  # its process lives
                group.rmdir()
    assert groups, "no process was found"
