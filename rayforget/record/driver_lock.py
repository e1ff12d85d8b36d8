"""One driver at a time: a local sweep is locked by the kernel, a remote one by a lease that its driver renews."""

import fcntl
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rayforget.errors import RecordError
from rayforget.record.fence import Fence
from rayforget.record.lease import LEASE_FILE, Lease, decode_lease, encode_lease
from rayforget.record.owner import this_process
from rayforget.record.patience import storage_errors
from rayforget.record.store import Store

LEASE_S = 90.0
"""How long a driver that died, or whom the storage did not hear, keeps others away. The clocks of the machines from
which one sweep is driven must agree within this: where they do not, a living driver may be taken over, and stops."""


@contextmanager
def sole_driver(sweep: Store, *, lease_s: float = LEASE_S) -> Iterator[None]:
    """Holds the sweep in this folder; within, `sweep.fence` is set, and every write is refused once another has it.

    A local lock dies with its process. So does one on NFS (Linux makes of flock a lock on the server), but where the
    whole machine dies, the server holds it until the machine is back or, with NFS 4, its lease ends (after 90 s
    mostly). A remote lease of a dead process of this machine is taken at once, of any other one when it ends.

    Args:
        sweep: the sweep's folder.
        lease_s: how long a remote lease lasts that is not renewed.

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
    with storage_errors(f"{path}, which keeps other drivers away, cannot be written"):
        return path.open("w")


@contextmanager
def _leased(sweep: Store, lease_s: float) -> Iterator[int | None]:
    from rayforget.record.remote_lease import hold_lease  # obstore, which local sweeps do without

    with hold_lease(sweep, lease_s) as token:
        yield token
