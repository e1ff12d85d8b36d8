"""Signs of life reach the listener from the thread that works, and from nowhere else."""

import threading

import pytest

from rayforget.heartbeat import beat, beating, heard_by


def test_a_beat_is_heard_within_and_not_after() -> None:
    outer: list[tuple[str, int, int]] = []
    inner: list[tuple[str, int, int]] = []
    beat("before")
    with heard_by(lambda *said: outer.append(said)):
        beat("a", 1, 3)
        with heard_by(lambda *said: inner.append(said)):
            beat("b")
        beat("a", 2, 3)
    beat("after")
    assert outer == [("a", 1, 3), ("a", 2, 3)]
    assert inner == [("b", 0, 0)]


def test_an_error_ends_the_listening_too() -> None:
    heard: list[tuple[str, int, int]] = []
    with pytest.raises(ValueError, match="x"), heard_by(lambda *said: heard.append(said)):
        raise ValueError("x")
    beat("after")
    assert heard == []


@pytest.mark.parametrize("count", [0, 1, 5])
def test_every_item_that_is_taken_beats(count: int) -> None:
    heard: list[tuple[str, int, int]] = []
    with heard_by(lambda *said: heard.append(said)):
        assert list(beating(range(count), "x", count)) == list(range(count))
    assert heard == [("x", done, count) for done in range(1, count + 1)]


def test_other_threads_are_not_heard() -> None:
    heard: list[tuple[str, int, int]] = []
    with heard_by(lambda *said: heard.append(said)):
        thread = threading.Thread(target=lambda: beat("elsewhere"))
        thread.start()
        thread.join()
    assert heard == []
