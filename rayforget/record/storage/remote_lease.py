"""A sweep in an object store -> its lease: taken by conditional writes, renewed by a thread, given back at the end."""

import logging
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from rayforget.errors import RecordError
from rayforget.record.storage.lease import LEASE_FILE, Lease, decode_lease, encode_lease
from rayforget.record.storage.owner import lives, this_process
from rayforget.record.storage.remote_folder import RemoteFolder
from rayforget.record.storage.server_errors import NoConditionsError
from rayforget.record.storage.store import Store

if TYPE_CHECKING:
    from obstore import UpdateVersion

logger = logging.getLogger(__name__)

_RENEWALS = 6
"""Renewals per lease: a living driver gives its sign of life at most this fraction of the lease late."""


@contextmanager
def hold_lease(sweep: Store, lease_s: float) -> Iterator[int | None]:
    """Holds the lease of a remote sweep; yields its number, which grows with each owner.

    Yields None, with a warning, if the server has no conditional writes: nothing can keep a second driver away there.

    Raises:
        RecordError: another living driver has it.
        StorageError: the storage refuses.
    """
    assert isinstance(sweep.folder, RemoteFolder)
    try:
        lease, version = _take(sweep, sweep.folder, lease_s)
    except NoConditionsError as error:
        logger.warning(
            "nothing keeps a second driver away from %s: the server does no conditional writes (%s)", sweep, error
        )
        yield None
        return
    keeper = _Keeper(sweep.folder, lease, version, lease_s)
    keeper.start()
    try:
        yield lease.token
    finally:
        keeper.give_back()


def _take(sweep: Store, folder: RemoteFolder, lease_s: float) -> "tuple[Lease, UpdateVersion]":
    """The lease with the next number; waits for one to end whose driver gives no sign of life."""
    nonce, watched = secrets.token_hex(8), None
    while True:
        found = _read(sweep, folder)
        held = None if found is None else found[0]
        if found is not None and found[0].nonce == nonce:
            return found  # written, though the answer was lost
        if held is not None and held.until > time.time():
            alive = lives(held.owner)
            if alive or (watched is not None and watched != held):
                raise RecordError(f"sweep {sweep} is driven by {held.owner}; wait for it, or end it there with Ctrl-C")
            if alive is None:
                if watched is None:
                    _say_wait(sweep, held)
                watched = held
                time.sleep(min(lease_s / _RENEWALS / 2, max(0.0, held.until - time.time()) + 0.05))
                continue
        token, until = 1 if held is None else held.token + 1, time.time() + lease_s
        lease = Lease(token=token, owner=this_process(), nonce=nonce, until=until)
        version = _swap(sweep, folder, lease, None if found is None else found[1])
        if version is None:
            continue  # another was faster
        if _swap(sweep, folder, lease, None) is not None:  # without conditional writes it may be ignored
            raise NoConditionsError("it wrote a new object where there was one")
        return lease, version


def _say_wait(sweep: Store, held: Lease) -> None:
    until = time.strftime("%H:%M:%S", time.localtime(held.until))
    text = "sweep %s was last driven by %s; waiting until %s for a sign of its life, then going on in its place"
    logger.warning(text, sweep, held.owner, until)


def _read(sweep: Store, folder: RemoteFolder) -> "tuple[Lease, UpdateVersion] | None":
    what = f"{sweep}/{LEASE_FILE}, which keeps other drivers away, cannot be read"
    found = sweep.patience.answer(what, lambda: folder.version(LEASE_FILE))
    return None if found is None else (decode_lease(found[0], f"{sweep}/{LEASE_FILE}"), found[1])


def _swap(sweep: Store, folder: RemoteFolder, lease: Lease, expected: "UpdateVersion | None") -> "UpdateVersion | None":
    what = f"{sweep}/{LEASE_FILE}, which keeps other drivers away, cannot be written"
    return sweep.patience.answer(what, lambda: folder.swap(LEASE_FILE, encode_lease(lease), expected))


class _Keeper:
    """A thread that renews a lease until it is given back or lost.

    Each renewal asks once and does not wait for the storage: the next one, however late, shows whether the lease is
    still ours.
    """

    def __init__(self, folder: RemoteFolder, lease: Lease, version: "UpdateVersion", lease_s: float) -> None:
        self._folder = folder
        self._lease, self._version = lease, version
        self._lease_s = lease_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rayforget-lease", daemon=True)

    def start(self) -> None:
        """Starts renewing."""
        self._thread.start()

    def give_back(self) -> None:
        """Lets the next driver in at once; if the storage does not hear it, the lease ends by itself."""
        self._ended.set()
        self._thread.join()
        try:
            self._write(replace(self._lease, until=0.0))
        except OSError as error:
            logger.warning("the lease of %s was not given back (%s); it ends by itself", self._folder, error)

    def _run(self) -> None:
        while not self._ended.wait(self._lease_s / _RENEWALS):
            try:
                kept = self._write(replace(self._lease, until=time.time() + self._lease_s))
            except OSError as error:
                logger.info("the lease of %s was not renewed, and will be: %s", self._folder, error)
                continue
            if not kept:
                logger.warning("another driver took over the sweep %s; this one stops", self._folder)
                return

    def _write(self, lease: Lease) -> bool:
        """Writes the lease if it is ours; returns whether it was."""
        data = encode_lease(lease)
        version = self._folder.swap(LEASE_FILE, data, self._version)
        if version is None:
            found = self._folder.version(LEASE_FILE)
            if found is not None and self._lease.nonce.encode() in found[0]:  # ours: the answer to it was lost
                version = self._folder.swap(LEASE_FILE, data, found[1])
        if version is None:
            return False
        self._lease, self._version = lease, version
        return True
