"""A slot's current job: posted by the slot, taken by its workers, kept until it is answered.

A worker group that dies and restarts takes the same job again; a job taken too often without an answer is answered with
the last group's failures. The mailbox outlives the worker group, since it is an actor of its own.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import ray

from rayforget.on_ray.answers import Failure, Reply, last_answer, shared_answer
from rayforget.on_ray.placement import only_on


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """How a slot's job is getting on."""

    idle_s: float
    """Seconds since the workers' last sign of life, or since the job was posted or taken."""
    stage: str = ""
    done: int = 0
    total: int = 0
    attempts: int = 0
    workers: tuple[Any, ...] = field(default=())
    """Handles of the worker group's actors, by rank."""


class Mailbox:
    """Holds at most one job; all methods are called remotely.

    Rank 0 takes a job and delivers its result; every rank reports its own failures.
    """

    def __init__(self, max_attempts: int) -> None:
        self._max_attempts = max_attempts
        self._changed = asyncio.Condition()
        self._job: Any = None
        self._number = 0
        self._reply: Reply | None = None
        self._attempts = self._spared = 0
        self._group = 0
        self._failures: list[Failure] = []
        self._starts: Counter[int] = Counter()
        self._refusals: Counter[int] = Counter()
        self._workers: dict[int, Any] = {}
        self._closed = False
        self._last_sign = time.monotonic()
        self._progress = ("", 0, 0)

    async def post(self, job: Any) -> int:
        """Posts a job and returns its number; the previous job must have been answered."""
        async with self._changed:
            self._job, self._reply, self._failures = job, None, []
            self._attempts = self._spared = 0
            self._number += 1
            self._starts.clear()
            self._refusals.clear()
            self._last_sign, self._progress = time.monotonic(), ("", 0, 0)
            self._changed.notify_all()
            return self._number

    async def close(self) -> None:
        """Ends the worker group's loop: its next `take` returns None, and a group that restarts ends at once."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def closed(self) -> bool:
        """Whether a group that restarts is too late: a set-up that always fails would else go on for ever."""
        return self._closed

    async def join(self, rank: int, handle: Any) -> None:
        """Announces a worker of a starting worker group.

        A rank that keeps restarting while a job waits, and never takes it, is dying during its set-up.
        """
        async with self._changed:
            self._workers[rank] = handle
            self._last_sign = time.monotonic()
            self._starts[rank] += 1
            if self._starts[rank] > self._max_attempts and self._waiting():
                reason = f"a worker died {self._max_attempts} times while it was set up, and did not say why"
                self._set_reply(Reply(error=reason, refused=True))

    async def refuse(self, rank: int, reason: str) -> None:
        """Reports that a worker could not be set up; after `max_attempts` reports the waiting job is answered with
        that."""
        async with self._changed:
            self._refusals[rank] += 1
            self._last_sign = time.monotonic()
            if self._refusals[rank] >= self._max_attempts and self._waiting():
                self._set_reply(Reply(error=reason, refused=True))

    async def take(self) -> tuple[int, int] | None:
        """Waits for an unanswered job; returns its number and that of the attempt, or None once the slot is closed."""
        async with self._changed:
            self._group += 1
            self._starts.clear()
            self._refusals.clear()
            group = self._group
            while True:
                await self._changed.wait_for(lambda: self._closed or group != self._group or self._waiting())
                if self._closed or group != self._group:
                    return None
                self._attempts += 1
                self._last_sign = time.monotonic()
                if self._attempts - self._spared <= self._max_attempts:
                    self._failures = []
                    return self._number, self._attempts
                self._set_reply(last_answer(self._failures, self._max_attempts))

    async def job(self, number: int) -> Any:
        """The job of this number; every rank fetches it for itself."""
        if number != self._number:
            raise RuntimeError(f"job {number} is over, the mailbox holds {self._number}")
        return self._job

    async def beat(self, number: int | None, stage: str, done: int, total: int) -> None:
        """A sign of life from workers, on the job of this number or during set-up (None)."""
        if number is None or number == self._number:
            self._last_sign, self._progress = time.monotonic(), (stage, done, total)

    async def answer(self, number: int, reply: Reply) -> None:
        """Ends a job; a second answer is dropped."""
        async with self._changed:
            if number == self._number and self._reply is None:
                self._set_reply(reply)

    async def fail(self, number: int, attempt: int, failure: Failure) -> None:
        """Takes one rank's failure; it becomes the answer once every rank of this attempt has reported the same."""
        async with self._changed:
            if (number, attempt) != (self._number, self._attempts) or self._reply is not None:
                return
            self._last_sign = time.monotonic()
            self._failures.append(failure)
            if (reply := shared_answer(self._failures)) is not None:
                self._set_reply(reply)

    async def spare(self, number: int, attempt: int) -> None:
        """Counts this attempt for none: a host of the workers goes, which tells nothing about the job."""
        if (number, attempt) == (self._number, self._attempts):
            self._spared += 1

    async def reply(self, number: int, timeout_s: float) -> Reply | None:
        """Waits up to `timeout_s` for the answer to a job."""
        async with self._changed:
            try:
                await asyncio.wait_for(
                    self._changed.wait_for(lambda: number != self._number or self._reply is not None), timeout_s
                )
            except TimeoutError:
                return None
            return self._reply

    async def pulse(self) -> Pulse:
        """How the job is getting on."""
        stage, done, total = self._progress
        return Pulse(
            idle_s=time.monotonic() - self._last_sign,
            stage=stage,
            done=done,
            total=total,
            attempts=self._attempts,
            workers=tuple(self._workers[rank] for rank in sorted(self._workers)),
        )

    def _waiting(self) -> bool:
        return self._job is not None and self._reply is None

    def _set_reply(self, reply: Reply) -> None:
        self._reply = reply
        self._changed.notify_all()


def start_mailbox(max_attempts: int) -> Any:
    """A mailbox on this process's node: the slot's own, which is the head."""
    here = ray.get_runtime_context().get_node_id()
    return ray.remote(Mailbox).options(**only_on(here)).remote(max_attempts)
