"""A worker's log -> the part of it that one training wrote: marks around each, set by the worker, found by a reader."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rayforget.record.jobs import TestJob, TrialJob

_MARK = "[rayforget]"


@contextmanager
def noted(job: TrialJob | tuple[TestJob, ...], attempt: int) -> Iterator[None]:
    """Writes the job's name on standard error, which Ray keeps in a file of the worker's, before and after the block.

    Args:
        job: a training, or scores on `test`.
        attempt: how often it was tried, with this one.
    """
    name = job.name if isinstance(job, TrialJob) else "test"
    _write(f"{_MARK} begins {name}, attempt {attempt}")
    try:
        yield
    finally:
        _write(f"{_MARK} ends {name}")


def lines_about(name: str, lines: Iterable[str]) -> Iterator[str]:
    """The lines from where a training begins to where it ends, or the next begins, the marks among them."""
    inside = False
    for line in lines:
        if _MARK in line:
            words = line.partition(_MARK)[2].replace(",", " ").split()
            begins, named = words[:1] == ["begins"], words[1:2] == [name]
            if named:
                yield line
            inside = begins and named
        elif inside:
            yield line


def _write(line: str) -> None:
    sys.stderr.write(f"{line}\n")  # not `print`, which Ray Train takes for its own log
    sys.stderr.flush()
