"""Which failures of a worker group are its job's answer, and the answer when no attempt is left."""

import asyncio
from collections.abc import Sequence

import pytest
import torch

from rayforget.errors import RecordError, StorageError, TaskError, TrainingError
from rayforget.on_ray.answers import Failure, Reply, last_answer, shared_answer
from rayforget.on_ray.mailbox import Mailbox
from rayforget.on_ray.worker import failure_of

LOST_PEER = RuntimeError("[/__w/pytorch/gloo/transport/tcp/pair.cc:552] Connection closed by peer [127.0.0.1]:3")
"""gloo's error for the survivor, whatever its peer died of."""
OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nSee the documentation")


def failures(*errors: Exception, num_ranks: int | None = None) -> list[Failure]:
    """One error for each rank, from rank 0 on."""
    return [failure_of(error, rank, num_ranks or len(errors)) for rank, error in enumerate(errors)]


@pytest.mark.parametrize("error", [TrainingError("nan"), ValueError("a plugin's"), RecordError("no file"), KeyError(3)])
@pytest.mark.parametrize("num_ranks", [1, 2, 3])
def test_what_all_ranks_say_alike_is_the_answer_and_not_before(error: Exception, num_ranks: int) -> None:
    said = failures(*[error] * num_ranks)
    for first in range(1, num_ranks):
        assert shared_answer(said[:first]) is None
        assert shared_answer(said[:first] * num_ranks) is None  # one rank may speak twice
    reply = shared_answer(said[::-1])
    assert reply is not None
    assert (reply.error or "").startswith(f"{type(error).__name__}: {error}")
    assert reply.refused == isinstance(error, RecordError)


@pytest.mark.parametrize(
    "said",
    [
        failures(LOST_PEER, num_ranks=2),
        failures(LOST_PEER, LOST_PEER, num_ranks=3),
        failures(LOST_PEER, LOST_PEER),  # the network between two hosts
        failures(OUT_OF_MEMORY, LOST_PEER),
        failures(OUT_OF_MEMORY, OUT_OF_MEMORY),
        failures(OUT_OF_MEMORY),
        failures(torch.AcceleratorError("CUDA error: an illegal memory access was encountered")),
        failures(torch.distributed.DistBackendError("NCCL error"), torch.distributed.DistBackendError("NCCL error")),
        failures(TrainingError("nan"), TrainingError("inf")),
        failures(StorageError("full"), LOST_PEER),
        failures(TaskError("photo/1.png"), TrainingError("nan")),
    ],
)
def test_what_one_rank_has_and_what_may_pass_is_no_answer(said: Sequence[Failure]) -> None:
    assert shared_answer(said) is None


def test_a_plain_runtime_error_of_a_single_worker_is_the_jobs_own() -> None:
    reply = shared_answer(failures(RuntimeError("mat1 and mat2 shapes cannot be multiplied")))
    assert reply is not None
    assert not reply.refused


def attempts(max_attempts: int, *groups: Sequence[Failure]) -> tuple[Reply | None, int]:
    """The reply to a job after these worker groups, then one more that comes to take it, and how often it was taken."""

    async def play() -> tuple[Reply | None, int]:
        mailbox = Mailbox(max_attempts)
        number = await mailbox.post("job")
        taken = 0
        for group in groups:
            found = await mailbox.take()
            assert found is not None
            taken += 1
            for failure in group:
                await mailbox.fail(*found, failure)
        with pytest.raises(TimeoutError):  # nothing is left to take: it is answered, or was before
            await asyncio.wait_for(mailbox.take(), 0.05)
        return await mailbox.reply(number, 0.05), taken

    return asyncio.run(play())


def test_attempts_used_up_are_answered_with_the_reason_of_the_last() -> None:
    reply, _ = attempts(3, [], failures(LOST_PEER, num_ranks=2), failures(LOST_PEER, OUT_OF_MEMORY)[::-1])
    assert reply is not None
    assert not reply.refused
    first, rest = (reply.error or "").split("\n", 1)
    assert "died 3 times on this job" in first
    assert first.index("rank 1: OutOfMemoryError: CUDA out of memory") < first.index("rank 0: RuntimeError: [/__w")
    assert "See the documentation" in rest


def test_a_silent_rank_is_named() -> None:
    reply = last_answer(failures(LOST_PEER, num_ranks=3), attempts=2)
    assert "rank 1 said nothing; rank 2 said nothing" in (reply.error or "")
    assert "none of them said why" in (last_answer([], attempts=1).error or "")


def test_data_or_storage_of_one_rank_halt_the_sweep_when_the_attempts_are_used_up() -> None:
    broken = failures(LOST_PEER, StorageError("/disk/a.png cannot be read (Input/output error)"))
    reply, taken = attempts(2, broken, broken)
    assert reply is not None
    assert taken == 2
    assert reply.refused
    assert "rank 1: StorageError: /disk/a.png cannot be read" in (reply.error or "")
    assert "\n" not in (reply.error or "")


def test_a_shared_failure_is_answered_at_the_first_attempt() -> None:
    reply, taken = attempts(3, failures(TrainingError("nan"), TrainingError("nan")))
    assert reply is not None
    assert taken == 1
    assert (reply.error or "").startswith("TrainingError: nan\n")


def test_an_attempt_whose_host_goes_counts_for_none() -> None:
    async def play() -> tuple[Reply | None, Reply | None]:
        mailbox = Mailbox(max_attempts=2)
        number = await mailbox.post("job")
        for _ in range(5):
            taken = await mailbox.take()
            assert taken is not None
            await mailbox.fail(*taken, failures(RuntimeError("peer"), RuntimeError("peer"))[1])  # the rank left behind
            await mailbox.spare(*taken)
            await mailbox.spare(*taken[:1], taken[1] - 1)  # late, of an attempt before
        assert await mailbox.take() is not None
        assert await mailbox.take() is not None
        before = await mailbox.reply(number, 0.01)
        await asyncio.wait_for(asyncio.gather(mailbox.take(), mailbox.close()), 5)
        return before, await mailbox.reply(number, 0.01)

    before, after = asyncio.run(play())
    assert before is None
    assert after is not None
    assert after.error is not None


def test_what_an_earlier_worker_group_says_late_is_not_mixed_with_this_ones() -> None:
    async def play() -> Reply | None:
        mailbox = Mailbox(max_attempts=3)
        number = await mailbox.post("job")
        first = await mailbox.take()
        second = await mailbox.take()
        assert first is not None
        assert second is not None
        alike = failures(TrainingError("nan"), TrainingError("nan"))
        await mailbox.fail(*first, alike[0])
        await mailbox.fail(*second, alike[1])
        return await mailbox.reply(number, 0.01)

    assert asyncio.run(play()) is None


@pytest.mark.parametrize("told", [True, False])
def test_a_set_up_that_fails_or_kills_again_and_again_is_answered_once_it_did_so_max_attempts_times(told: bool) -> None:
    async def play() -> list[Reply | None]:
        mailbox = Mailbox(max_attempts=3)
        number = await mailbox.post("job")
        found = []
        for _ in range(4):
            for rank in (0, 1):
                await mailbox.join(rank, "handle")
            if told:
                await mailbox.refuse(0, "no such folder")
                await mailbox.refuse(1, "no such folder")
            found.append(await mailbox.reply(number, 0.01))
        return found

    answered = [reply for reply in asyncio.run(play()) if reply is not None]
    assert len(answered) == (2 if told else 1)
    assert answered[0].refused
    assert ("no such folder" in (answered[0].error or "")) == told


def test_workers_that_come_to_their_jobs_are_not_counted_as_dying_in_their_set_up() -> None:
    async def play() -> Reply | None:
        mailbox = Mailbox(max_attempts=1)
        for _ in range(5):
            number = await mailbox.post("job")
            await mailbox.join(0, "handle")
            taken = await mailbox.take()
            assert taken is not None
            if number < 5:
                await mailbox.answer(number, Reply(value=number))
        return await mailbox.reply(number, 0.01)

    assert asyncio.run(play()) is None
