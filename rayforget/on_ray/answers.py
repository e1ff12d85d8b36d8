"""What the ranks of a worker group report of a failed job -> the job's answer, or none, in which case it is retried.

A failure tells something about the job only if every rank has it. One rank's own failure is a lost peer, a full device,
a broken disk; if the ranks lost each other or their devices, even equal reports of all of them tell no more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The outcome of a job."""

    error: str | None = None
    """Why the job failed; None if it succeeded."""
    value: Any = None
    """The workers' result."""
    refused: bool = False
    """Whether it tells nothing about the job: its workers could not be set up, or data or storage failed them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What ended one rank's work on a job."""

    rank: int
    num_ranks: int
    reason: str
    """`ErrorType: its text`."""
    traceback: str = ""
    refused: bool = False
    """Whether data or storage failed, which tells nothing about the job."""
    passing: bool = False
    """Whether a new worker group may not have it, even if all ranks have it now: a lost peer, a device."""


def shared_answer(failures: Sequence[Failure]) -> Reply | None:
    """The answer to a job that failed on every rank alike; None while a rank is silent, or if reasons differ.

    Args:
        failures: those of one attempt, in the order in which they were reported.
    """
    first = failures[0]
    if {failure.rank for failure in failures} != set(range(first.num_ranks)):
        return None
    if any(failure.passing for failure in failures):
        return None
    reasons = dict.fromkeys(failure.reason for failure in failures)
    if all(failure.refused for failure in failures):
        return Reply(error="; ".join(reasons), refused=True)
    return Reply(error=f"{first.reason}\n\n{first.traceback}") if len(reasons) == 1 else None


def last_answer(failures: Sequence[Failure], attempts: int) -> Reply:
    """The answer to a job that each of `attempts` worker groups left without one.

    It is refused if data or storage failed a rank, since the other ranks' failures follow from that.

    Args:
        failures: those of the last attempt, in the order in which they were reported; empty if its workers were killed.
        attempts: how often the job was tried.
    """
    given_up = f"its workers died {attempts} times on this job; it is not tried again; the last time "
    if not failures:
        return Reply(error=f"{given_up}none of them said why (killed, or out of memory?)")
    num_ranks = failures[0].num_ranks
    reasons = [f"rank {f.rank}: {f.reason}" if num_ranks > 1 else f.reason for f in failures]
    silent = sorted(set(range(num_ranks)) - {failure.rank for failure in failures})
    first_lines = [reason.split("\n", 1)[0] for reason in reasons]
    head = given_up + "; ".join([*first_lines, *(f"rank {rank} said nothing" for rank in silent)])
    if any(failure.refused for failure in failures):
        return Reply(error=head, refused=True)
    whole = [f"{reason}\n\n{failure.traceback}" for reason, failure in zip(reasons, failures, strict=True)]
    return Reply(error="\n\n".join([head, *whole]))
