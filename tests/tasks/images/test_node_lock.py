import subprocess
import sys
import threading
import time

from rayforget.heartbeat import heard_by
from rayforget.tasks.images.node_lock import node_lock

HOLDER = """
import fcntl, sys, time
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


def test_only_one_holds_it_at_a_time(tmp_path):
    inside, most = [], []

    def enter() -> None:
        with node_lock(tmp_path / "locks" / "a", "counting") as held:
            assert held
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def test_a_killed_holder_leaves_no_stale_lock(tmp_path):
    path = tmp_path / "a"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    entered = threading.Event()

    def enter() -> None:
        with node_lock(path, "waiting"):
            entered.set()

    waiter = threading.Thread(target=enter)
    waiter.start()
    assert not entered.wait(0.2)
    holder.kill()
    holder.wait()
    assert entered.wait(5)
    waiter.join()


def test_who_waits_for_it_gives_signs_of_life(tmp_path):
    path, heard, inside = tmp_path / "a", [], threading.Event()

    def wait() -> None:
        with heard_by(lambda stage, *_: heard.append(stage)), node_lock(path, "decoding x"):
            inside.set()

    with node_lock(path, "decoding x"):
        waiting = threading.Thread(target=wait)
        waiting.start()
        while len(heard) < 3:
            time.sleep(0.01)
        assert not inside.is_set()
    waiting.join()
    assert set(heard) == {"wait for another process: decoding x"}
