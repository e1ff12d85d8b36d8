"""A job of a cluster -> its output, printed here to its end and over every break of the connection; its exit code."""

import asyncio
import time
from typing import TYPE_CHECKING

from rayforget.errors import RayforgetError
from rayforget.on_ray.remote.jobs import SweepJob
from rayforget.on_ray.remote.reach import Reached, say
from rayforget.record.command import program

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

INTERRUPTED = 130
"""Exit code after Ctrl-C, which ends the following but not the job."""
_SETTLE_S = 5.0
"""How long after the end of its output a job may take to end."""


def how_to_go_on(reached: Reached, sweep: str) -> str:
    """Two lines: the commands that follow and stop a sweep's job."""
    words = f"{sweep} {reached.way.words}"
    return f"  follow it:  {program()} attach {words}\n  stop it:    {program()} stop {words}"


def follow(reached: Reached, job: SweepJob) -> int:
    """Prints the job's output from its beginning until it ends, or until the user leaves.

    Returns:
        The job's exit code; 130 if the user left it with Ctrl-C, or it was stopped.

    Raises:
        RayforgetError: the connection is lost for longer than is worth waiting for, or the cluster has forgotten the
            job; the message says how to go on.
    """
    hints = how_to_go_on(reached, job.sweep)
    try:
        return _end_of(reached, job, _patiently(reached, job, hints))
    except KeyboardInterrupt:
        say(f"\nno longer following; sweep {job.sweep} goes on (job {job.job})\n{hints}")
        return INTERRUPTED


def _patiently(reached: Reached, job: SweepJob, hints: str) -> "JobDetails":
    """Prints to the end of the job; a connection that breaks is made again, and goes on where it broke."""
    from aiohttp import ClientError

    printer, lost, pause = _Printer(), None, 1.0
    while True:
        try:
            before = printer.printed
            if (ended := _print_on(reached.client, job.job, printer)) is not None:
                return ended
            lost, pause = None, 1.0
        except (RuntimeError, OSError, ClientError) as error:
            if "status code 404" in str(error) or getattr(error, "status", None) == 404:
                raise RayforgetError(
                    f"the cluster no longer knows job {job.job}: it was started anew, which ended what ran on it; what "
                    f"is finished is recorded, go on with: {job.resuming(reached)}"
                ) from None
            if printer.printed > before:
                lost, pause = None, 1.0
            if lost is None:
                lost = time.monotonic()
                say(f"no connection to the cluster; trying again (Ctrl-C leaves, sweep {job.sweep} goes on)")
            if time.monotonic() - lost > reached.patience_s:
                words = f"the connection is lost ({error}); sweep {job.sweep} goes on (job {job.job})"
                raise RayforgetError(words, *hints.split("\n")) from None
            time.sleep(pause)
            pause = min(2 * pause, 10.0)


class _Printer:
    """Prints what it has not printed yet of a text that is sent from its beginning after every break."""

    def __init__(self) -> None:
        self.printed = 0
        """Characters."""
        self._seen = 0

    def begin(self) -> None:
        """The text is sent from its beginning."""
        self._seen = 0

    def take(self, text: str) -> None:
        """The next piece of the text."""
        fresh = text[max(0, self.printed - self._seen) :]
        self._seen += len(text)
        if fresh:
            self.printed = self._seen
            print(fresh, end="", flush=True)


def _print_on(client: "JobSubmissionClient", job: str, printer: _Printer) -> "JobDetails | None":
    """Prints until the output ends; the job if it has ended too, None if the cluster broke off."""

    async def tail() -> None:
        async for text in client.tail_job_logs(job):
            printer.take(text)

    printer.begin()
    asyncio.run(tail())
    settled = time.monotonic() + _SETTLE_S
    while True:
        info = client.get_job_info(job)
        if info.status.is_terminal():
            return info
        if time.monotonic() > settled:
            return None
        time.sleep(0.5)


def _end_of(reached: Reached, job: SweepJob, info: "JobDetails") -> int:
    from ray.job_submission import JobStatus

    if info.status == JobStatus.SUCCEEDED:
        return 0
    if info.status == JobStatus.STOPPED:
        say(f"job {job.job} was stopped; go on with: {job.resuming(reached)}")
        return INTERRUPTED
    code = info.driver_exit_code
    say(f"job {job.job} ended with exit code {code}" if code else f"job {job.job}: {info.status.value}: {info.message}")
    return code or 1
