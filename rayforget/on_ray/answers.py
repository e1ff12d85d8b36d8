"""What the ranks of a worker group say went wrong with a job -> the job's answer, or none: then it is tried again.

A failure says something of the job only where every rank has it. What one rank alone has is a lost peer, a full device,
a broken disk; where the ranks lost each other or their devices, even the same words from all of them say no more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


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
class Failure:
    """What ended one rank's work on a job."""

    rank: int
    num_ranks: int
    reason: str
    """`ErrorType: its text`."""
    traceback: str = ""
    refused: bool = False
    """Whether data or storage failed it, which says nothing of the job."""
    passing: bool = False
    """Whether it may be gone in a new worker group, even where all ranks have it: a lost peer, a device."""


def shared_answer(failures: Sequence[Failure]) -> Reply | None:
    """The answer to a job that failed on every rank alike; None while a rank is silent, or has another reason.

    Args:
        failures: of one attempt, in the order in which they were told.
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
    """The answer to a job that every one of `attempts` worker groups left without one.

    It is refused where data or storage failed a rank: what became of the other ranks follows from that.

    Args:
        failures: of the last attempt, in the order in which they were told; none where its workers were killed.
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
