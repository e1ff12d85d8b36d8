"""A sweep has one driver: a second is refused, a dead one makes room, one that was taken over writes nothing more."""

import logging
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from rayforget.errors import RecordError, TakenOverError
from rayforget.record.storage.driver_lock import sole_driver
from rayforget.record.storage.fence import Fence
from rayforget.record.storage.lease import LEASE_FILE, Lease, decode_lease, encode_lease
from rayforget.record.storage.owner import _started, lives, this_process
from rayforget.record.storage.store import Store

HOLD = """
import sys, time
from rayforget.errors import RecordError
from rayforget.record.storage.driver_lock import sole_driver
from rayforget.record.storage.store import Store
sweep = Store.open(sys.argv[1]).within("tiny")
start, lease_s = float(sys.argv[2]), float(sys.argv[3])
time.sleep(max(0, start - time.time()))
try:
    with sole_driver(sweep, lease_s=lease_s):
        sweep.write("f", b"1")
        print("held", sweep.fence.token, flush=True)
        sys.stdin.readline()
except RecordError as error:
    print("refused", error, flush=True)
"""


def driver(location: str, *, start: float = 0, lease_s: float = 90) -> subprocess.Popen[str]:
    """Another process that takes the sweep and holds it until it is told to end."""
    command = [sys.executable, "-c", HOLD, location, str(start), str(lease_s)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture(params=["local", "s3"])
def location(request, tmp_path) -> str:
    where = str(tmp_path) if request.param == "local" else request.getfixturevalue("s3_uri")
    Store.open(where).write("tiny/sweep.json", b"{}")
    return where


def sweep_at(location: str) -> Store:
    return Store.open(location).within("tiny")


def lease_of(sweep: Store) -> Lease:
    return decode_lease(sweep.read(LEASE_FILE), LEASE_FILE)


def elsewhere(sweep: Store, *, token: int, until: float) -> Lease:
    """The lease of a driver on a machine of which nothing is known here."""
    owner = replace(this_process(), host="far", machine="another boot")
    lease = Lease(token=token, owner=owner, nonce=f"far{token}", until=until)
    sweep.write(LEASE_FILE, encode_lease(lease))
    return lease


def test_a_second_driver_is_refused_and_a_killed_one_makes_room_at_once(location):
    first = driver(location)
    assert line(first) == "held 1"
    started = time.monotonic()
    refusal = pytest.raises(RecordError, match=r"tiny is (running in another process|driven by process \d+ on)")
    with refusal, sole_driver(sweep_at(location)):
        pass
    first.send_signal(signal.SIGKILL)
    first.wait()
    sweep = sweep_at(location)
    with sole_driver(sweep):
        assert sweep.fence is not None
        assert sweep.fence.token == 2
        sweep.write("g", b"1")
    assert time.monotonic() - started < 30  # did not wait for a lease of 90 s
    assert sweep.fence is None


@pytest.mark.slow
def test_of_drivers_that_start_at_once_one_gets_the_sweep(location):
    start = time.time() + 3
    drivers = [driver(location, start=start) for _ in range(3)]
    said = [line(process) for process in drivers]
    for process in drivers:
        process.communicate("\n")
    assert sum(text.startswith("held") for text in said) == 1, said
    assert sum(text.startswith("refused") for text in said) == 2, said


def test_each_owner_has_a_greater_number_than_the_one_before(location):
    for token in (1, 2, 3):
        sweep = sweep_at(location)
        with sole_driver(sweep):
            assert sweep.fence is not None
            assert sweep.fence.token == token
            assert lives(lease_of(sweep).owner)


def test_who_was_taken_over_writes_nothing_more_and_nor_do_its_workers(location, monkeypatch):
    monkeypatch.setattr("rayforget.record.storage.fence._TRUST_S", 0.0)
    sweep = sweep_at(location)
    with sole_driver(sweep):
        worker = sweep_at(location)
        worker.fence = Fence(worker.folder, 1)
        for store in (sweep, worker.within("points")):
            store.write("a", b"1")
        elsewhere(Store.open(location).within("tiny"), token=2, until=time.time() + 90)
        for store in (sweep, worker, worker.within("points"), worker.waiting(1)):
            for act in (
                lambda store: store.write("b", b"1"),
                lambda store: store.write_once("b", b"1"),
                lambda store: store.write_by("b", lambda stream: stream.write(b"1")),
                lambda store: store.delete("a"),
            ):
                with pytest.raises(TakenOverError, match=r"was taken over by process .* on far"):
                    act(store)
        assert sweep.read("a") == b"1"
        assert not sweep.exists("b")
    assert lease_of(sweep).token == 2  # the end of the first driver takes nothing from the second


def test_a_sweep_that_was_deleted_is_not_written_into(location, monkeypatch):
    monkeypatch.setattr("rayforget.record.storage.fence._TRUST_S", 0.0)
    sweep = sweep_at(location)
    with sole_driver(sweep):
        Store.open(location).delete("tiny")
        with pytest.raises(TakenOverError, match="was the sweep deleted"):
            sweep.write("points/a", b"1")
    assert not Store.open(location).exists("tiny")


def test_the_fence_asks_once_for_what_follows_at_once(s3_behind_door, door):
    with sole_driver(s3_behind_door):
        before = len(door.seen)
        for number in range(10):
            s3_behind_door.write_once(f"points/{number}", b"1")
        assert sum(re.fullmatch(r"GET .*/driver\.json", seen) is not None for seen in door.seen[before:]) == 1


def test_a_lease_of_elsewhere_that_ended_is_taken_at_once(s3):
    elsewhere(s3, token=6, until=time.time() - 1)
    with sole_driver(s3):
        assert lease_of(s3).token == 7


@pytest.mark.slow
def test_a_lease_of_elsewhere_is_waited_for_and_people_hear_until_when(s3, caplog):
    until = time.time() + 3
    elsewhere(s3, token=6, until=until)
    with caplog.at_level(logging.WARNING, "rayforget"), sole_driver(s3, lease_s=3):
        assert time.time() >= until
        assert lease_of(s3).token == 7
    (text,) = [record.getMessage() for record in caplog.records]
    assert f"waiting until {time.strftime('%H:%M:%S', time.localtime(until))} for a sign of its life" in text


def test_a_driver_elsewhere_that_gives_a_sign_of_life_keeps_its_sweep(s3, s3_uri, monkeypatch):
    lease = elsewhere(s3, token=6, until=time.time() + 60)

    def renew(_: float) -> None:
        s3.write(LEASE_FILE, encode_lease(replace(lease, until=time.time() + 60.5)))

    monkeypatch.setattr("rayforget.record.storage.remote_lease.time.sleep", renew)
    other = Store.open(s3_uri)
    with pytest.raises(RecordError, match=r"is driven by process .* on far"), sole_driver(other):
        pass
    assert lease_of(s3).token == 6


@pytest.mark.slow
def test_a_lease_is_renewed_while_its_driver_lives_and_given_back_when_it_ends(s3):
    with sole_driver(s3, lease_s=1.2):
        first = lease_of(s3)
        time.sleep(3)
        later = lease_of(s3)
        assert later.until > first.until + 1
        assert (later.token, later.nonce) == (first.token, first.nonce)
    assert lease_of(s3).until == 0
    assert lease_of(s3).token == 1


@pytest.mark.slow
def test_a_driver_keeps_its_sweep_over_an_outage_that_is_longer_than_its_lease(s3_behind_door, door):
    with sole_driver(s3_behind_door, lease_s=0.6):
        door.refusals = [503] * 24
        while door.refusals:
            time.sleep(0.1)
        time.sleep(1)
        assert lease_of(s3_behind_door).until > time.time() - 0.6
        s3_behind_door.write("a", b"1")


def test_a_server_without_conditional_writes_is_said_to_keep_nobody_away(s3_behind_door, door, caplog):
    door.ignores_conditions = True
    with sole_driver(s3_behind_door):
        s3_behind_door.write("a", b"1")
        assert s3_behind_door.fence is None
    assert "nothing keeps a second driver away" in caplog.text


def test_a_damaged_lease_says_what_to_do(s3):
    s3.write(LEASE_FILE, b"{")
    with pytest.raises(RecordError, match="when nobody does, delete it"), sole_driver(s3):
        pass


def test_a_process_lives_until_it_is_dead_and_its_number_is_no_proof():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = replace(this_process(), pid=child.pid, started=_started(child.pid) or "")
    assert lives(owner) is True
    assert lives(replace(owner, started="1")) is False
    assert lives(replace(owner, machine="another boot")) is None
    child.kill()
    while lives(owner):  # a zombie is dead, even if not yet reaped
        time.sleep(0.01)
    child.communicate()
    assert lives(owner) is False
