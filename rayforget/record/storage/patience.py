"""A request that the storage refuses for a passing reason -> the same request, repeated until it is answered."""

import errno
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rayforget.errors import StorageError
from rayforget.heartbeat import beat

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_PASSING = frozenset(
    {
        errno.ETIMEDOUT, errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EHOSTUNREACH,
        errno.EHOSTDOWN, errno.ENETUNREACH, errno.ENETDOWN, errno.ENETRESET, errno.EPIPE, errno.EAGAIN,
        errno.ESTALE,  # the network disk's server was restarted
        errno.EIO,  # the server of a network disk mounted `soft` does not answer
    }
)  # fmt: skip
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 30.0
_BEAT_S = 1.0


def is_passing(error: OSError) -> bool:
    """Whether the same request may succeed later: not for a missing file, a lack of permission, or a full disk."""
    passing: bool = getattr(error, "transient", error.errno in _PASSING)
    return passing


def storage_error(what: str, error: OSError, waited_s: float = 0) -> StorageError:
    """One line for people: what could not be done, why, how long it was tried, and what to do."""
    reason = " ".join((error.strerror or str(error)).split())[:400]  # a server's may have several lines
    tried = f", for {waited_s:.0f} s" if waited_s >= 1 else ""
    refused = StorageError(f"{what} ({reason}{tried}); see to the storage, or name another, and try again")
    refused.transient = is_passing(error)
    return refused


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turns errors of the operating system or a remote storage into one that says what could not be done, and why."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise storage_error(what, error) from error


def waits() -> int:
    """How often this process has had to wait for a storage."""
    return Patience.waits


class Patience:
    """Waits for a storage for a given time, and logs once when that begins and once when it is over.

    Threads that share it wait together, with one line for all. A waiting caller beats, so as not to be taken for hung.
    """

    waits = 0
    """Of all objects in this process."""

    def __init__(self, retry_s: float) -> None:
        self.retry_s = retry_s
        """For how many seconds after the first refusal a request is repeated."""
        self._lock = threading.Lock()
        self._waiting = 0
        self._since = 0.0

    def answer(self, what: str, ask: Callable[[], Answer]) -> Answer:
        """The result of `ask`, once the storage permits it.

        Args:
            what: for people, e.g. `s3://bucket/a.json cannot be written`.
            ask: called again after every passing refusal, at growing intervals with jitter.

        Raises:
            StorageError: the refusal is permanent, or lasted longer than `retry_s`.
        """
        since: float | None = None
        wait_s = _FIRST_WAIT_S
        try:
            while True:
                try:
                    answer = ask()
                    break
                except StorageError:
                    raise
                except OSError as error:
                    now = time.monotonic()
                    waited_s = 0.0 if since is None else now - since
                    if not is_passing(error) or waited_s >= self.retry_s:
                        raise storage_error(what, error, waited_s) from error
                    if since is None:
                        since = now
                        self._begin(what, error)
                    self._pause(min(wait_s * random.uniform(0.5, 1), self.retry_s - waited_s), since)
                    wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        except BaseException:
            if since is not None:
                self._end(answered=False)
            raise
        if since is not None:
            self._end(answered=True)
        return answer

    def _begin(self, what: str, error: OSError) -> None:
        with self._lock:
            self._waiting += 1
            if self._waiting > 1:
                return
            self._since = time.monotonic()
            Patience.waits += 1
        reason = " ".join((error.strerror or str(error)).split())[:400]
        logger.warning("%s (%s); trying again for up to %.0f s", what, reason, self.retry_s)

    def _end(self, *, answered: bool) -> None:
        with self._lock:
            self._waiting -= 1
            if self._waiting or not answered:
                return
            waited_s = time.monotonic() - self._since
        logger.warning("the storage answers again, after %.0f s", waited_s)

    def _pause(self, wait_s: float, since: float) -> None:
        until = time.monotonic() + wait_s
        while (left_s := until - time.monotonic()) > 0:
            beat("waiting for the storage", int(time.monotonic() - since), int(self.retry_s))
            time.sleep(min(left_s, _BEAT_S))
