"""One driver at a time: the kernel locks a local sweep, and a lease that its driver renews locks a remote one."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rayforget.errors import RecordError
from rayforget.record.storage.fence import Fence
from rayforget.record.storage.lease import LEASE_FILE, Lease, decode_lease, encode_lease
from rayforget.record.storage.owner import this_process
from rayforget.record.storage.patience import storage_errors
from rayforget.record.storage.store import Store

LEASE_S = 90.0
"""How long a driver that died, or that the storage did not hear, keeps others away. The clocks of the machines that
drive a sweep must agree within this; otherwise a living driver may be taken over, and stops."""


@contextmanager
def sole_driver(sweep: Store, *, lease_s: float = LEASE_S) -> Iterator[None]:
    """Holds the sweep within the block: sets `sweep.fence`, which refuses every write once another driver has the
    sweep.

    A local lock dies with its process. So does one on NFS (Linux turns flock into a lock on the server), but if the
    whole machine dies, the server holds it until the machine is back or, with NFS 4, its lease ends (usually after 90
    s). The remote lease of a dead process of this machine is taken at once, any other when it ends.

    Args:
        sweep: the sweep's folder.
        lease_s: how long a remote lease lasts without renewal.

    Raises:
        RecordError: another driver has it.
        StorageError: the folder cannot be written.
    """
    with _locked(sweep, sweep.local) if sweep.local is not None else _leased(sweep, lease_s) as token:
        if token is not None:
            sweep.fence = Fence(sweep.folder, token)
        try:
            yield
        finally:
            sweep.fence = None


@contextmanager
def _locked(sweep: Store, folder: Path) -> Iterator[int]:
    path = folder / ".driver"
    with _open(path) as lock:
        with storage_errors(f"{path}, which keeps other drivers away, cannot be locked: does this disk know locks?"):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RecordError(
                    f"sweep {folder.name} is running in another process; wait for it or end it with Ctrl-C"
                ) from None
        before = decode_lease(sweep.read(LEASE_FILE), f"{sweep}/{LEASE_FILE}").token if sweep.exists(LEASE_FILE) else 0
        lease = Lease(token=before + 1, owner=this_process(), nonce=secrets.token_hex(8), until=0)
        sweep.write(LEASE_FILE, encode_lease(lease))
        yield lease.token


def _open(path: Path) -> TextIO:
    if path.is_symlink():
        raise RecordError(f"{path}, which keeps other drivers away, is a link, expected a file of its own; delete it")
    with storage_errors(f"{path}, which keeps other drivers away, cannot be written"):
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666), "r+")


@contextmanager
def _leased(sweep: Store, lease_s: float) -> Iterator[int | None]:
    from rayforget.record.storage.remote_lease import hold_lease  # imports obstore, which local sweeps do without

    with hold_lease(sweep, lease_s) as token:
        yield token
