"""The one job a slot is working on: posted by the slot, taken by its workers, kept until it is answered.

A worker group that dies and comes back takes the same job again; a job taken too often without an answer is answered
as failed. The mailbox outlives the worker group, since it is an actor of its own.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import ray


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What became of a job."""

    error: str | None = None
    """Why the job failed; None when it was done."""
    value: Any = None
    """What the workers made of it."""
    refused: bool = False
    """Whether it says nothing of the job itself: its workers could not be set up, or data or storage failed them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """How a slot's job is getting on."""

    idle_s: float
    """Seconds since the workers last said anything, or since the job was posted or taken."""
    stage: str = ""
    done: int = 0
    in_all: int = 0
    attempts: int = 0
    workers: tuple[Any, ...] = field(default=())
    """Handles of the worker group's actors."""


class Mailbox:
    """Holds at most one job; all methods are called remotely, rank 0 speaks for its worker group."""

    def __init__(self, max_attempts: int) -> None:
        self._max_attempts = max_attempts
        self._changed = asyncio.Condition()
        self._job: Any = None
        self._number = 0
        self._reply: Reply | None = None
        self._attempts = 0
        self._group = 0
        self._refusals = 0
        self._workers: dict[int, Any] = {}
        self._closed = False
        self._last_sign = time.monotonic()
        self._progress = ("", 0, 0)

    async def post(self, job: Any) -> int:
        """Puts a job in and returns its number; the job before must have been answered."""
        async with self._changed:
            self._job, self._reply, self._attempts, self._refusals = job, None, 0, 0
            self._number += 1
            self._last_sign, self._progress = time.monotonic(), ("", 0, 0)
            self._changed.notify_all()
            return self._number

    async def close(self) -> None:
        """Ends the worker group's loop; its next `take` returns None."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def join(self, rank: int, handle: Any) -> None:
        """Announces a worker of a worker group that starts."""
        self._workers[rank] = handle
        self._last_sign = time.monotonic()

    async def refuse(self, reason: str) -> None:
        """Says that the workers could not be set up; after `max_attempts` times the waiting job is answered so."""
        async with self._changed:
            self._refusals += 1
            self._last_sign = time.monotonic()
            if self._refusals >= self._max_attempts and self._waiting():
                self._set_reply(Reply(error=reason, refused=True))

    async def take(self) -> int | None:
        """Waits for an unanswered job and returns its number; None when the slot is closed. Called by rank 0."""
        async with self._changed:
            self._group += 1
            self._refusals = 0
            group = self._group
            while True:
                await self._changed.wait_for(lambda: self._closed or group != self._group or self._waiting())
                if self._closed or group != self._group:
                    return None
                self._attempts += 1
                self._last_sign = time.monotonic()
                if self._attempts <= self._max_attempts:
                    return self._number
                self._set_reply(
                    Reply(error=f"its workers died {self._max_attempts} times on this job; it is not tried again")
                )

    async def job(self, number: int) -> Any:
        """The job of this number; every rank fetches it for itself."""
        if number != self._number:
            raise RuntimeError(f"job {number} is over, the mailbox holds {self._number}")
        return self._job

    async def beat(self, number: int | None, stage: str, done: int, in_all: int) -> None:
        """A sign of life from workers: at the job of this number, or while they are set up (None)."""
        if number is None or number == self._number:
            self._last_sign, self._progress = time.monotonic(), (stage, done, in_all)

    async def answer(self, number: int, reply: Reply) -> None:
        """Ends a job; an answer to a job that is already answered is dropped."""
        async with self._changed:
            if number == self._number and self._reply is None:
                self._set_reply(reply)

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
        stage, done, in_all = self._progress
        return Pulse(
            idle_s=time.monotonic() - self._last_sign,
            stage=stage,
            done=done,
            in_all=in_all,
            attempts=self._attempts,
            workers=tuple(self._workers.values()),
        )

    def _waiting(self) -> bool:
        return self._job is not None and self._reply is None

    def _set_reply(self, reply: Reply) -> None:
        self._reply = reply
        self._changed.notify_all()


RemoteMailbox: Any = ray.remote(num_cpus=0)(Mailbox)
