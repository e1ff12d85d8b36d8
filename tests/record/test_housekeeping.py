"""Tidying happens inside Tune's callback, where an error would cost a slot: passing refusals wait for the next time."""

import time

import pytest
import torch
from synthetic_sweep import ROLES, make_records

from rayforget.errors import StorageError
from rayforget.frontier.gather import gather
from rayforget.record.housekeeping import tidy_weights
from rayforget.record.sweep import Sweep, SweepInfo
from rayforget.record.weights import save_weights
from rayforget.space.parts import Keep


def test_tidying_neither_waits_nor_raises_while_the_storage_does_not_answer_and_is_done_after(s3_behind_door, door):
    records, _ = make_records(trials=6, scale=0.1)
    info = SweepInfo(name="tiny", space_name="tiny", created=0, space_digest="d")
    sweep = Sweep.create(s3_behind_door, info, space_text="", space={})
    for record in records:
        if record.status == "ok" and record.recipe:
            save_weights(sweep.store, record.trial, record.step, {"w": torch.zeros(300)})
    stored, keep = sweep.kept_weights(), Keep(margin=0)

    def tidy() -> None:
        tidy_weights(sweep, lambda stored: gather(records, ROLES), ROLES, keep)

    door.refusals = [503] * 1000
    started = time.monotonic()
    tidy()
    assert time.monotonic() - started < 15  # does not wait for storage.retry_s
    door.refusals = [403]
    with pytest.raises(StorageError, match="403 Forbidden"):
        tidy()
    assert sweep.kept_weights() == stored
    tidy()
    assert sweep.kept_weights().keys() < stored.keys()
