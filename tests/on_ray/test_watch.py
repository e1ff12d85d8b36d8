"""How a slot treats silence and errors, without a worker: Ray's actors are plain objects here."""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from toy_agenda import resumed, toy_agenda, train

from rayforget.errors import RecordError, TaskError, TrainingError
from rayforget.on_ray.answers import shared_answer
from rayforget.on_ray.mailbox import Mailbox, Pulse
from rayforget.on_ray.slot import _START_LIMIT_S, why_not_started
from rayforget.on_ray.sweep import _finish, _take_back
from rayforget.on_ray.worker import _heartbeat, failure_of
from rayforget.record.jobs import TrialJob
from rayforget.search.agenda import Agenda, NamedJob, Next
from rayforget.search.study import CurveStudy
from rayforget.space.methods import methods_of


def test_the_start_limit_ends_when_a_worker_joins_and_its_set_up_only_by_silence() -> None:
    long = _START_LIMIT_S + 1
    assert why_not_started(Pulse(idle_s=_START_LIMIT_S)) is None
    assert "no workers came up" in (why_not_started(Pulse(idle_s=long)) or "")
    assert why_not_started(Pulse(idle_s=1.0, workers=("worker",))) is None
    silent = why_not_started(Pulse(idle_s=long, workers=("worker",), stage="decode tasks.a.val", done=3, total=9))
    assert silent is not None
    assert "since decode tasks.a.val 3/9" in silent


def test_signs_of_life_from_a_set_up_begin_the_count_anew() -> None:
    async def idle() -> list[float]:
        mailbox = Mailbox(max_attempts=3)
        number = await mailbox.post("job")
        found = []
        for sign in (None, number, number - 1):
            mailbox._last_sign = time.monotonic() - 100
            await mailbox.beat(sign, "decode", 1, 2)
            found.append((await mailbox.pulse()).idle_s)
        return found

    set_up, this_job, an_earlier_job = asyncio.run(idle())
    assert set_up < 50
    assert this_job < 50
    assert an_earlier_job > 50


def test_a_listener_passes_on_one_beat_of_many() -> None:
    heard: list[tuple[Any, ...]] = []
    mailbox = SimpleNamespace(beat=SimpleNamespace(remote=lambda *said: heard.append(said)))
    beat = _heartbeat(None, mailbox)
    for done in range(1000):
        beat("decode", done, 1000)
    assert heard[0] == (None, "decode", 0, 1000)
    assert len(heard) < 10


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (TaskError("photo/1.png: cannot be read"), True),
        (RecordError("damaged"), True),
        (OSError(28, "No space left on device"), True),
        (TrainingError("the loss is not finite"), False),
        (RuntimeError("out of memory"), False),
    ],
)
def test_data_and_storage_halt_the_sweep_and_what_a_recipe_did_is_recorded(
    error: Exception, refused: bool, tmp_path: Path
) -> None:
    agenda = toy_agenda(tmp_path)
    named = agenda.next()
    assert isinstance(named, NamedJob)
    reply = shared_answer([failure_of(error, rank=0, num_ranks=1)])
    assert reply is not None
    assert reply.refused == refused
    _finish(agenda, named, {"error": reply.error, "value": None, "refused": reply.refused}, lambda _: None)
    assert (named.name in agenda.sweep.trials()) == (not refused)
    assert (agenda.halted is not None) == refused
    if agenda.halted is not None:
        assert agenda.halted == f"{named.name}: {type(error).__name__}: {error}"
    study = CurveStudy(methods_of(agenda.space), search=agenda.space.search, curve=agenda.space.curve, name="s")
    resumed = Agenda(agenda.space, agenda.sweep, study).next()
    assert isinstance(resumed, NamedJob)
    assert (resumed.name == named.name) == refused


def test_a_record_torn_before_the_driver_reads_it_halts_the_sweep_in_its_own_words_and_trains_nothing_again(
    tmp_path: Path,
) -> None:
    agenda = toy_agenda(tmp_path)
    named = agenda.next()
    assert isinstance(named, NamedJob)
    assert isinstance(named.job, TrialJob)
    (record,) = train(agenda, named.job)
    agenda.sweep.add(record)
    path = tmp_path / "s" / "points" / f"{record.key}.json"
    path.write_bytes(path.read_bytes()[:-9])
    shown: list[NamedJob] = []
    _take_back(agenda, named, {"error": None, "value": [record.step], "refused": False}, shown.append)
    assert agenda.halted is not None
    assert agenda.halted.startswith(f"RecordError: {path} is damaged: no complete file of the record")
    assert (agenda.next(), agenda.broken_off, shown) == (Next.FINISHED, {named.name}, [])
    path.unlink()  # as the message says
    assert resumed(tmp_path).next() == named


def test_a_job_whose_slot_tune_gave_up_is_handed_out_again_and_halts_the_sweep_in_the_end(tmp_path: Path) -> None:
    agenda = toy_agenda(tmp_path)
    named = agenda.next()
    assert isinstance(named, NamedJob)
    shown: list[NamedJob] = []
    for _ in range(3):
        _take_back(agenda, named, None, shown.append)
        assert agenda.next() == named
    assert (agenda.halted, shown) == (None, [])
    _take_back(agenda, named, None, shown.append)
    assert agenda.halted == f"{named.name}: its slot was lost again and again; see --verbose"
    assert (agenda.next(), shown) == (Next.FINISHED, [named])
